"""Export: a copy of a model folder for others, with smaller weights and a card of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import torch
from safetensors import safe_open
from torch import Tensor

from dlmone.core import InputError
from dlmone.registry import Registry
from dlmone.runtime.files import written_folder
from dlmone.runtime.tensors import save_tensors

from .configuration import CARD, WEIGHTS, read_config
from .folder import load_student, load_teacher

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def check_loads(folder: Path, registry: Registry) -> None:
    """Load the model in a folder once.

    Raises:
        InputError: the model is broken.
        PluginError: the plugin of its family is not installed.
    """
    load = load_student if read_config(folder)["role"] == "student" else load_teacher
    load(folder, registry)


def export(
    folder: Path,
    out: Path,
    registry: Registry,
    precision: Literal["float32", "bfloat16"] = "bfloat16",
    card: str | None = None,
) -> int:
    """Copy a model folder with its weights in ``precision``; loading casts them back to float32.

    Args:
        folder: a student or a teacher, which must load.
        out: a folder that is not there yet.
        card: the text of its README.md; the model's own if None.

    Returns:
        The size of the copy in bytes.

    Raises:
        InputError: the model is broken, or there is something at ``out``.
        PluginError: the plugin of its family is not installed.
        DlmoneError: the copy cannot be written.
    """
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or name another folder")
    check_loads(folder, registry)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: _cast(file.get_tensor(key), PRECISIONS[precision]) for key in file.keys()}  # noqa: SIM118
    with written_folder(out, "the copy") as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(WEIGHTS))
        save_tensors(tensors, copy / WEIGHTS, metadata)
        if card is not None:
            (copy / CARD).write_text(card, encoding="utf-8")
    return sum(path.stat().st_size for path in out.iterdir())


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
