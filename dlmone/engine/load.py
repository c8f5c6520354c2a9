"""`dlmone.load`: a published model as something that writes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dlmone.core import Generator, InputError, SampledGenerator
from dlmone.registry import Registry
from dlmone.registry.schema import SamplerSlot

from .compute import resolve_device
from .folder import load_student, load_teacher, read_config


def load(
    path: str | PathLike[str],
    *,
    sampler: str = "ddim",
    device: str = "auto",
    registry: Registry | None = None,
) -> Generator:
    """Return the generator in a model folder: a student, or a teacher under a sampler.

    Args:
        path: a model folder, or a run directory, whose student is meant.
        sampler: by which a teacher writes; a student needs none.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        registry: where the plugins are; all installed ones if not given.

    Raises:
        InputError: there is no model, it is broken, or the device is not there.
        PluginError: its family's plugin or the sampler is not installed.
    """
    folder = model_folder(path)
    role = read_config(folder)["role"]
    where = resolve_device(device)
    registry = Registry.discover() if registry is None else registry
    if role == "student":
        return load_student(folder, registry).to(where)
    writer = registry.create("samplers", SamplerSlot(use=sampler))
    teacher, _ = load_teacher(folder, registry)
    return SampledGenerator(teacher.network, teacher.space, writer).eval().to(where)


def model_folder(path: str | PathLike[str]) -> Path:
    """Return the model folder that is meant: for a run directory, its student's.

    Raises:
        InputError: the run has no student yet.
    """
    folder = Path(path).expanduser()
    if not (folder / "recipe.toml").is_file():
        return folder
    if not (folder / "student").is_dir():
        raise InputError(f"{folder}: this run has no student yet")
    return folder / "student"
