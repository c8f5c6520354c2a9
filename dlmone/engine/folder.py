"""Published models: a folder that holds all a model needs, for teachers and students alike.

``config.json`` (repeated in the weights' metadata), ``model.safetensors``, the space's files (a
tokeniser) and ``README.md``, the model card. A student is its teacher's family rebuilt from the same
configuration, with its own weights in the place of φ's: loading it never needs the teacher.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dlmone.core import DiffusionGenerator, InputError, Teacher
from dlmone.registry import Registry

FORMAT = 1
_CONFIG, _WEIGHTS, _CARD = "config.json", "model.safetensors", "README.md"


def publish(
    folder: Path,
    teacher: Teacher,
    family: str,
    role: Literal["teacher", "student"],
    card: str,
    weights: Mapping[str, Tensor] | None = None,
    student: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder, replacing one that is there only when the new one is whole.

    Args:
        folder: where.
        teacher: gives configuration, assets and space; its own network too unless ``weights`` is given.
        family: the teacher plugin's name.
        role: what the network in it is.
        card: the model card's text.
        weights: the student's network weights.
        student: the student's facts (``t_init``, ``unit_input``).
    """
    config = {
        "dlmone": FORMAT,
        "role": role,
        "teacher": family,
        "config": teacher.config(),
        **({"student": dict(student)} if student else {}),
    }
    tensors = {f"space.{key}": value for key, value in teacher.space.state_dict().items()}
    network = teacher.network.state_dict() if weights is None else weights
    tensors |= {f"network.{key}": value for key, value in network.items()}
    staging = folder.with_name(f".{folder.name}-staging-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    text = json.dumps(config, indent=1)
    (staging / _CONFIG).write_text(text)
    for name, content in teacher.assets().items():
        (staging / name).write_bytes(content)
    (staging / _CARD).write_text(card)
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
        staging / _WEIGHTS,
        metadata={"config": json.dumps(config)},
    )
    if folder.exists():
        old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
        folder.rename(old)
        staging.rename(folder)
        shutil.rmtree(old)
    else:
        staging.rename(folder)
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a model folder.

    Raises:
        InputError: there is none, or this version cannot read it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such model folder")
    try:
        config: dict[str, Any] = json.loads((folder / _CONFIG).read_text())
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a dlmone model folder, it has no {_CONFIG} "
            f"(an official DiffuSeq checkpoint is turned into one with: dlmone convert diffuseq DIR OUT)"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / _CONFIG}: not JSON (line {error.lineno}: {error.msg})") from None
    if config.get("dlmone") != FORMAT:
        raise InputError(
            f'{folder / _CONFIG}: expected "dlmone": {FORMAT}, found {config.get("dlmone")!r}; '
            "the folder was not written by this version of dlmone"
        )
    return config


def load_teacher(folder: Path, registry: Registry) -> tuple[Teacher, dict[str, Any]]:
    """Rebuild what a model folder holds: the space, and the network with the folder's weights.

    Returns the teacher object (for a student's folder its network is θ) and the folder's configuration.

    Raises:
        InputError: the folder is incomplete, or its weights do not fit its configuration.
        PluginError: the plugin of its family is not installed.
    """
    config = read_config(folder)
    family = registry.load("teachers", config["teacher"])
    assets = {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name not in (_CONFIG, _WEIGHTS, _CARD)
    }
    teacher: Teacher = family.restore(config["config"], assets)
    weights = folder / _WEIGHTS
    try:
        with safe_open(weights, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights}: the weights cannot be read ({error})") from None
    try:
        teacher.load_state_dict(tensors)
    except RuntimeError as error:
        details = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        raise InputError(f"{weights}: the weights do not fit {_CONFIG} ({details})") from None
    return teacher.requires_grad_(False).eval(), config


def load_student(folder: Path, registry: Registry) -> DiffusionGenerator:
    """Load a published student.

    Raises:
        InputError: the folder holds a teacher, or is broken.
    """
    teacher, config = load_teacher(folder, registry)
    if config["role"] != "student":
        raise InputError(f"{folder}: holds a teacher, where a student was expected")
    facts = config["student"]
    return DiffusionGenerator(teacher.network, teacher.space, facts["t_init"], facts["unit_input"]).eval()
