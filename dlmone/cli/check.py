"""``dlmone check``: what a recipe means on this machine, without training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlmone.core.errors import InputError

from .output import print_columns
from .request import Request, announce, takes_recipe

if TYPE_CHECKING:
    from dlmone.core import Evaluator, Example, Objective, Sketch
    from dlmone.registry import Recipe, Registry, ResolvedRecipe


@click.command()
@takes_recipe
def check(**request: Any) -> None:
    """Check RECIPE and say what it would take, without training.

    Everything it names is put together. What is not on this machine (data, a checkpoint, a device) is
    listed and is no error. Nothing is downloaded.
    """
    report(*Request(**request).resolve())


def report(registry: Registry, resolved: ResolvedRecipe) -> None:
    """Print what a run would be and an estimate of what it takes.

    Raises:
        InputError: the recipe is wrong.
        PluginError: it names a plugin that cannot be used.
    """
    announce(resolved)
    recipe = resolved.recipe
    missing: list[str] = []
    with _offline():
        splits = _splits(registry, recipe, missing)
        sketch = _sketch(registry, recipe, splits, missing)
    objectives = _objectives(registry, recipe)
    evaluators = _evaluators(registry, recipe)
    slot = recipe.evaluation.teacher_sampler
    registry.create("samplers", slot, "evaluation.teacher_sampler")

    rows = [("recipe", f"{recipe.name}, profile {resolved.profile}" if resolved.profile else recipe.name)]
    sizes = [f"{len(examples):,} {name}" for name, examples in splits.items()]
    rows.append(("data", f"{recipe.data.use}: {', '.join(sizes) or 'not there yet'}"))
    rows.append(("networks", _networks(recipe, sketch)))
    for name, stage in recipe.stages.items():
        uses = ", ".join(f"{key} ({one.use})" for key, one in stage.objectives.items())
        rows.append((name, f"{stage.steps:,} steps of batch {stage.batch}: {uses}"))
    steps = ", ".join(map(str, recipe.evaluation.teacher_steps))
    rows.append(("evaluation", f"{', '.join(evaluators)}; the teacher by {slot.use} in {steps} steps"))
    rows += [("", ""), *_estimate(recipe, sketch, objectives, splits, missing)]
    rows += [("missing here" if not i else "", text) for i, text in enumerate(missing)]
    print_columns(rows)


def _splits(registry: Registry, recipe: Recipe, missing: list[str]) -> dict[str, Any]:
    source = registry.create("data", recipe.data, "data")
    try:
        return {name: source.split(name) for name in ("train", "valid", "test")}
    except InputError as error:
        missing.append(str(error))
        return {}


def _sketch(
    registry: Registry, recipe: Recipe, splits: Mapping[str, list[Example]], missing: list[str]
) -> Sketch | None:
    """Return the size of the teacher: as it is, as its options say, or as its data make it."""
    from dlmone.engine.estimate import measure
    from dlmone.engine.folder import load_teacher

    slot = recipe.teacher
    folder = Path(slot.path).expanduser() if slot.path else None
    if folder and folder.exists():
        return measure(load_teacher(folder, registry)[0])
    if folder:
        missing.append(f"The teacher {folder} does not exist; its size is that of the default options.")
    family = registry.load("teachers", slot.use, "teacher")
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    sketch: Sketch | None = family.sketch(options)
    if sketch is None and splits:
        try:
            sketch = measure(family.build(options, splits["train"]))
        except InputError as error:
            missing.append(str(error))
    return sketch


def _objectives(registry: Registry, recipe: Recipe) -> dict[str, dict[str, Objective]]:
    return {
        name: {
            key: registry.create("objectives", slot, f"stages.{name}.objectives.{key}")
            for key, slot in stage.objectives.items()
        }
        for name, stage in recipe.stages.items()
    }


def _evaluators(registry: Registry, recipe: Recipe) -> dict[str, Evaluator]:
    from dlmone.engine.judge import chosen

    evaluators: dict[str, Evaluator] = {
        key: registry.create("evaluators", slot, f"evaluation.metrics.{key}")
        for key, slot in recipe.evaluation.metrics.items()
    }
    for name, stage in recipe.stages.items():
        chosen(evaluators, stage.validation, f"stages.{name}")
    return evaluators


def _networks(recipe: Recipe, sketch: Sketch | None) -> str:
    which = "teacher, generator and score estimator" if recipe.stages else "teacher"
    if sketch is None:
        return f"{which}: of unknown size until the data are there"
    total = sketch.network + sketch.space
    return (
        f"{which}: {in_short(total)} parameters each ({total:,} = network {sketch.network:,} + "
        f"shared space {sketch.space:,})"
    )


def _estimate(
    recipe: Recipe,
    sketch: Sketch | None,
    objectives: Mapping[str, Mapping[str, Objective]],
    splits: Mapping[str, list[Example]],
    missing: list[str],
) -> list[tuple[str, str]]:
    """Return lines on memory and time, none where the networks' size or the device is not known."""
    from dlmone.engine.compute import Compute
    from dlmone.engine.estimate import EFFICIENCY, memory, operations, product_rate, stage_effort

    if sketch is None:
        return []
    try:
        compute = Compute.start(recipe.compute)
    except InputError as error:
        missing.append(str(error))
        return []
    efforts = {name: stage_effort(stage, objectives[name]) for name, stage in recipe.stages.items()}
    tested = recipe.evaluation.examples
    if splits:
        tested = min(tested or len(splits["test"]), len(splits["test"]))
    rate = EFFICIENCY * product_rate(compute, sketch.width)
    parts = operations(recipe, sketch, efforts, tested)
    spans = [(name, in_time(work / rate)) for name, work in parts.items()]
    needed = memory(recipe, sketch, efforts, compute.bfloat16)
    return [
        ("estimate", f"rough, for {compute.describe()} at {rate / 1e9:,.0f} billion operations a second"),
        ("  memory", f"about {needed / 2**30:.1f} GiB"),
        *((f"  {name}", span) for name, span in spans),
        ("  total", in_time(sum(parts.values()) / rate)),
    ]


def in_short(count: int) -> str:
    """Format a number of parameters: 91.2M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def in_time(seconds: float) -> str:
    """Format a rough duration: about 3 minutes."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {unit}"
    return f"about {seconds:,.0f} seconds"


@contextmanager
def _offline() -> Iterator[None]:
    """Keep what looks for files on the Hugging Face hub from fetching them."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
