"""Model folders: all that a published model needs, for teachers and students alike.

``config.json`` (repeated in the weights' metadata), ``model.safetensors``, the space's files (a
tokeniser) and ``README.md``, the model card. A student is restored by its teacher's plugin from the same
configuration, with its own weights, so loading it never needs the teacher's. What a network shares with its
space, such as an embedding table, is in the file once.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dlmone.core import DiffusionGenerator, InputError, NoiseSchedule, PluginError, Teacher
from dlmone.registry import Registry
from dlmone.registry.explain import mistakes
from dlmone.registry.filetype import mistaken
from dlmone.registry.plugin import one_line
from dlmone.runtime.environment import lacks_memory
from dlmone.runtime.files import reason_of, whole_folder, written_folder
from dlmone.runtime.tensors import save_tensors

from .configuration import CARD, CONFIG, FORMAT, WEIGHTS, check_copy, read_config
from .student import new_student


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

    A kill at any moment leaves one whole model to `load_teacher` or `load_student` (`atomic_folder`).

    Args:
        folder: the folder to write.
        teacher: gives configuration, assets and space; its own network too unless ``weights`` is given.
        family: the teacher plugin's name.
        role: what the network in it is.
        card: the model card's text.
        weights: the student's network weights.
        student: the student's facts (``t_init``, ``unit_input``, ``second_time``).

    Raises:
        DlmoneError: the folder cannot be written; one that was there is as it was.
    """
    assets = teacher.assets()
    config = {
        "dlmone": FORMAT,
        "role": role,
        "teacher": family,
        **({"package": package} if (package := _package(teacher)) else {}),
        "config": teacher.config(),
        "files": {name: _digest(content) for name, content in assets.items()},
        **({"student": dict(student)} if student else {}),
    }
    tensors = {f"space.{key}": value for key, value in teacher.space.state_dict().items()}
    network = teacher.network.state_dict() if weights is None else weights
    owned = {value.data_ptr() for value in tensors.values()} - {0}  # 0: tensors without entries
    tensors |= {f"network.{key}": value for key, value in network.items() if value.data_ptr() not in owned}
    with written_folder(folder, "the model") as staging:
        (staging / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
        for name, content in assets.items():
            (staging / name).write_bytes(content)
        (staging / CARD).write_text(card, encoding="utf-8")
        save_tensors(tensors, staging / WEIGHTS, {"config": json.dumps(config)})
    return folder


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _package(teacher: Teacher) -> str | None:
    """Return what has to be installed to load a teacher, or its plugin's file; None for dlmone's own."""
    module = type(teacher).__module__
    top = module.partition(".")[0]
    if top == __name__.partition(".")[0]:
        return None
    if names := _distributions().get(top):
        return f"{names[0]} {version(names[0])}"
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).name if file and "." not in module else top


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_assets(folder: Path) -> dict[str, bytes]:
    """Return a model's files besides configuration, weights and card, such as a tokeniser's."""
    return {
        path.name: path.read_bytes()
        for path in whole_folder(folder).iterdir()
        if path.is_file() and path.name not in (CONFIG, WEIGHTS, CARD)
    }


def load_teacher(folder: Path, registry: Registry) -> Teacher:
    """Load a published teacher, frozen and in evaluation mode.

    Raises:
        InputError: the folder holds a student, is incomplete, or its weights do not fit its configuration.
        PluginError: the plugin of its family is not installed.
    """
    # Networks are built with random weights first; the caller's random state stays as it is.
    with torch.random.fork_rng(devices=[]):
        teacher = _restore(folder, registry, "teacher")
    _load_weights(teacher, folder)
    return teacher.requires_grad_(False).eval()


def load_student(folder: Path, registry: Registry) -> DiffusionGenerator:
    """Load a published student, in evaluation mode: its teacher's `new_generator`, with its own weights.

    Raises:
        InputError: the folder holds a teacher, is incomplete, or its weights do not fit its configuration.
        PluginError: the plugin of its family is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        teacher = _restore(folder, registry, "student")
        facts = read_config(folder)["student"]
        generator = new_student(teacher, facts["t_init"], facts["unit_input"], facts.get("size", {}))
        if facts.get("second_time"):
            generator.network.add_second_time()
        spacing = facts.get("spacing", generator.spacing)
        generator.spacing = tuple(spacing) if isinstance(spacing, list) else spacing
    _load_weights(generator, folder)
    _check_start(generator.space.schedule, facts["t_init"], folder / CONFIG)
    try:
        generator.call_times(facts.get("calls", 1))
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: student.{error}") from None
    return generator.requires_grad_(False).eval()


def _check_start(schedule: NoiseSchedule, t_init: float, where: Path) -> None:
    """Raise InputError if a student would begin outside its schedule."""
    low, high = schedule.min_time, schedule.max_time
    # A learned schedule's ends have the rounding of the device that they were computed on.
    slack = 0 if schedule.discrete else 0.01 * (high - low)
    if not low - slack <= t_init <= high + slack or (schedule.discrete and t_init != int(t_init)):
        kind = "a whole time" if schedule.discrete else "a time"
        raise InputError(f"{where}: student.t_init: expected {kind} from {low:g} to {high:g}, got {t_init:g}")


def _restore(folder: Path, registry: Registry, role: Literal["teacher", "student"]) -> Teacher:
    """Rebuild the teacher object of a folder, its weights not loaded yet."""
    config, assets = read_config(folder), read_assets(folder)
    if config["role"] != role:
        raise InputError(f"{folder}: holds a {config['role']}, where a {role} was expected")
    name = config["teacher"]
    try:
        family = registry.load("teachers", name)
    except PluginError as error:
        if "package" not in config or registry.claims("teachers", name):
            raise
        first, *broken = str(error).splitlines()
        made = f"the model was made with {config['package']}, which is not installed or given (--plugin FILE)"
        raise PluginError("\n".join([f"{folder}: {first}; {made}", *broken])) from error
    try:
        teacher: Teacher = family.restore(config["config"], assets)
    except Exception as error:
        if lacks_memory(error):
            raise InputError(f"{folder}: there is not enough memory for a model of its sizes") from None
        reason = _reason(error)
        raise InputError(f"{folder}: the {name} plugin cannot rebuild the model ({reason})") from error
    for file, digest in config.get("files", {}).items():
        if file in assets and _digest(assets[file]) != digest:
            raise InputError(
                f"{folder / file}: not the file that the model was saved with, and a model's files cannot be "
                "edited"
            )
    return teacher


def _load_weights(model: Teacher | DiffusionGenerator, folder: Path) -> None:
    """Load the weights of a folder into a teacher or a student: ``space.*`` and ``network.*``."""
    weights = whole_folder(folder) / WEIGHTS
    try:
        weights.open("rb").close()  # says why a file cannot be read; the library may not
        with safe_open(weights, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        what = mistaken(weights)
        raise InputError(
            f"{weights} {what}" if what else f"{weights}: the weights cannot be read ({reason_of(error)})"
        ) from None
    check_copy(folder, metadata)
    check_finite(tensors, weights)
    for key, own in _shared(model).items():
        if f"space.{own}" in tensors:
            tensors.setdefault(f"network.{key}", tensors[f"space.{own}"])
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        details = shorten("; ".join(lines), 300, placeholder=" …")
        raise InputError(f"{weights}: the weights do not fit {CONFIG} ({details})") from None


def check_finite(tensors: Mapping[str, Tensor], where: Path) -> None:
    """Raise InputError if weights are not finite; it names the first such tensor and counts."""
    wrong = {
        name: count
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and (count := int((~tensor.isfinite()).sum()))
    }
    if wrong:
        name, count = next(iter(wrong.items()))
        more = f", and {len(wrong) - 1} more tensors have some" if wrong.keys() - {name} else ""
        raise InputError(f"{where}: {name} has {count:,} weights that are not finite{more}")


def _shared(model: Teacher | DiffusionGenerator) -> dict[str, str]:
    """Return the names in a network of tensors that are its space's, each with its name there."""
    owned = {id(tensor): name for name, tensor in model.space.state_dict(keep_vars=True).items()}
    held = model.network.state_dict(keep_vars=True)
    return {name: owned[id(tensor)] for name, tensor in held.items() if id(tensor) in owned}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return mistakes(error)
    return one_line(error)
