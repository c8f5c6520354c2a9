"""What can be timed: model folders, their exported graphs, recipes' shapes, and plugins' generators."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dlmone.core import Example, InputError, SampledGenerator
from dlmone.core.step.noise import seed_of
from dlmone.models.exported import load_exported
from dlmone.models.load import load, sampler_of
from dlmone.models.resolve import model_folder
from dlmone.registry import Recipe, Registry
from dlmone.registry.schema import GeneratorSlot, SamplerSlot
from dlmone.registry.short import slot_of
from dlmone.training.stage_student import stage_student

from .timing import Subject

RANDOM = "random weights: only its speed is meaningful"


def of_folder(path: Path, sampler: str | None, device: str, registry: Registry) -> Subject:
    """Return the model of a folder, or the student of a run directory.

    Raises:
        InputError: there is none, or it is broken.
        PluginError: its family's plugin or the sampler is not installed.
    """
    model = load(path, device=device, registry=registry)
    if sampler is not None:
        slot_of(SamplerSlot, sampler, registry, "--sampler")  # a wrong one is said, also where none is used
    if sampler is not None and model.role == "teacher":
        model = load(path, sampler=sampler, device=device, registry=registry)
    return Subject(str(path), model.generator, f"loaded from {path}")


def of_graph(graph: Path, models: Sequence[str], device: torch.device, registry: Registry) -> Subject:
    """Return what ``dlmone export --to`` wrote from one of the models, run by its own runtime.

    Raises:
        InputError: there is none, it is of another model, or it can't be run on this device.
        PluginError: its exporter is not installed.
    """
    if device.type != "cpu":
        raise InputError(f"--graph: graphs are timed on the CPU, so give --device cpu, not {device}")
    students = [model_folder(model, registry) for model in models]
    found = load_exported(graph, students, registry, torch.get_num_threads())
    weights = f"exported, {found.file.stat().st_size / 1e6:.1f} MB, run by {found.runtime}"
    return Subject(str(graph), found.generator, weights, found.precision)


def of_recipe(
    recipe: Recipe, name: str, sampler: str | None, device: torch.device, registry: Registry
) -> list[Subject]:
    """Return teacher and student of the shape that a recipe describes, at random weights.

    The recipe's data are read only where the shape depends on them (a vocabulary). A checkpoint that the
    recipe names is not.

    Raises:
        InputError: the teacher cannot be built: its data or its tokenizer are not here.
        PluginError: a plugin cannot be used.
    """

    def examples() -> Iterator[Example]:
        yield from registry.create("data", recipe.data, "data").split("train")

    slot = recipe.teacher
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of((recipe.seed, "teacher")))
        teacher = registry.load("teachers", slot.use, "teacher").build(options, examples())
    teacher = teacher.requires_grad_(False).eval().to(device)
    by = slot_of(SamplerSlot, sampler or sampler_of(teacher, registry), registry, "--sampler")
    writer = registry.create("samplers", by, "--sampler")
    found = [
        Subject(f"{name} teacher", SampledGenerator(teacher.network, teacher.space, writer).eval(), RANDOM)
    ]
    if recipe.stages:
        student = stage_student(*list(recipe.stages.items())[-1], teacher).eval()
        found.insert(0, Subject(f"{name} student", student, RANDOM))
    return found


def of_plugin(words: str, device: torch.device, registry: Registry) -> Subject:
    """Return the generator that a plugin offers under ``NAME`` or ``NAME:key=value,…``.

    Raises:
        InputError: the options are wrong.
        PluginError: there is no such generator.
    """
    name, _, options = words.partition(":")
    entry = registry.entry("generators", name, "--against")
    table = {"use": name, **dict(_option(one) for one in options.split(",") if one)}
    generator = registry.create("generators", GeneratorSlot.model_validate(table), f"--against {name}")
    return Subject(words, generator.requires_grad_(False).eval().to(device), entry.help)


def _option(word: str) -> tuple[str, object]:
    """Read ``key=value``; a value is TOML where it can be, and a string where not."""
    key, equals, value = word.partition("=")
    if not equals:
        raise InputError(f"--against: expected key=value, found {word!r}")
    try:
        return key, tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return key, value
