"""Try a recipe before anything is spent: create all that it names, and use each once on a small batch.

`dlmone check` and a run both go through here, so what one of them refuses, the other refuses too.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

import torch

from dlmone.core import (
    Denoiser,
    Example,
    Generator,
    InputError,
    Objective,
    SampledGenerator,
    Sampler,
    Split,
    Teacher,
)
from dlmone.core.contract import require
from dlmone.generation.inference import generate_samples
from dlmone.registry import Recipe, Registry
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.final.variants import EvaluationPlugins, check_variants, steps_of

from .estimation.trial import pretraining_trial, stage_trial
from .requests import check_requests
from .stage import stage_objectives
from .stage_student import stage_student
from .start import check_sizes, check_starts, saved_starts
from .teacher import check_times
from .teacher_answers import check_answers, check_restores
from .validation import check_metrics, validation_evaluators, validations

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
#: Rows of the batch that everything is tried on.
ROWS = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a recipe names, created, and tried as far as that needs no teacher.

    Attributes:
        splits: the data; empty if they are not on this machine.
        parts: the plugins of the evaluation.
        objectives: by stage and name.
        starts: the folders of the saved students that stages start from, by stage.
    """

    splits: Mapping[Split, Sequence[Example]]
    parts: EvaluationPlugins
    objectives: Mapping[str, Mapping[str, Objective]]
    starts: Mapping[str, Path]


def read_data(recipe: Recipe, registry: Registry) -> dict[Split, Sequence[Example]]:
    """Return the splits of a recipe's data.

    Raises:
        MissingError: the data are not on this machine.
        InputError: they are malformed.
        PluginError: the source returns something else than examples.
    """
    source = registry.create("data", recipe.data, "data")
    splits: dict[Split, Sequence[Example]] = {}
    for name in SPLITS:
        examples = source.split(name)
        listed = isinstance(examples, Sequence) and all(isinstance(one, Example) for one in examples)
        require(
            listed and bool(examples), source, "split", f"the examples of {name!r}, at least one", examples
        )
        for one in examples:
            texts = all(isinstance(text, str) for text in (one.id, one.source, one.target))
            require(texts, source, "split", "examples of strings", [one.id, one.source, one.target])
        splits[name] = examples
    return splits


def prepare(recipe: Recipe, registry: Registry, splits: Mapping[Split, Sequence[Example]]) -> Prepared:
    """Create the plugins that a recipe names, and score a few references with its metrics.

    Raises:
        InputError: a part of the recipe cannot be used; the message names its key.
        PluginError: a plugin is missing, or breaks its contract.
    """
    parts = EvaluationPlugins.of(registry, recipe.evaluation)
    for where, validation in validations(recipe).items():
        validation_evaluators(parts.evaluators, validation, where)
    if splits:
        check_metrics(recipe, parts.evaluators, splits["valid"])
    objectives = {name: stage_objectives(registry, recipe, name) for name in recipe.stages}
    return Prepared(splits, parts, objectives, saved_starts(recipe, registry))


def try_out(
    recipe: Recipe, registry: Registry, prepared: Prepared, teacher: Teacher, compute: Compute
) -> None:
    """Check a recipe against its teacher, and make one update of every stage with a copy of it.

    Args:
        recipe: the recipe.
        registry: its plugins.
        prepared: what `prepare` returned for it, with its data.
        teacher: trained or not; it stays as it is.
        compute: device and precision.

    Raises:
        InputError: a part of the recipe does not fit the teacher; the message names its key.
        PluginError: a plugin breaks its contract.
    """
    trial = copy.deepcopy(teacher).requires_grad_(False).eval()
    sampled = trial if compute.mesh is None else copy.deepcopy(trial).to(compute.device)
    check_answers(sampled, prepared.splits["train"][:ROWS], compute.device)
    pretrain = recipe.teacher.pretrain
    trains = pretrain is not None and any(one.requires_grad for one in teacher.parameters())
    if trains:
        check_restores(teacher)
    check_times(recipe, teacher.space.schedule, prepared.objectives, prepared.parts.samplers_by_key)
    check_requests(teacher, prepared.objectives, prepared.splits["train"][0])
    check_sizes(recipe, teacher)
    check_starts(prepared.starts, recipe, teacher, registry)
    _check_batches(recipe, compute)
    alone = replace(compute, world=World(), microbatch=None, mesh=None)
    # Processes that share out the networks try training together, with as many rows each.
    together = alone if compute.mesh is None else replace(compute, microbatch=None)
    rows = -(-ROWS // together.world.size) * together.world.size
    examples = prepared.splits["train"][:rows]
    with torch.random.fork_rng(devices=[]):
        if pretrain and trains:
            pretraining_trial(pretrain, teacher, examples, together, recipe.seed, rows).advance(norms=False)
        _check_sampling(recipe, prepared, sampled, alone)
        check_variants(recipe, prepared.parts, sampled, alone, prepared.splits["valid"])
        del sampled
        for name in recipe.stages:
            _check_stage(recipe, registry, name, trial, examples, together, rows)


def _check_batches(recipe: Recipe, compute: Compute) -> None:
    """Check that every process has the same share of each batch, if networks are sharded.

    Raises:
        InputError: one can't be shared evenly.
    """
    pretrain, size = recipe.teacher.pretrain, compute.world.size
    batches = {f"stages.{name}.batch": stage.batch for name, stage in recipe.stages.items()}
    if pretrain and not recipe.teacher.path:
        batches["teacher.pretrain.batch"] = pretrain.batch
    for key, batch in batches.items():
        if compute.mesh is not None and batch % size:
            raise InputError(f"{key}: compute.shard needs a multiple of the {size} processes, got {batch}")


def _check_stage(
    recipe: Recipe,
    registry: Registry,
    name: str,
    teacher: Teacher,
    examples: Sequence[Example],
    compute: Compute,
    rows: int,
) -> None:
    """Make one update of a stage with all its terms."""
    trial = stage_trial(recipe, registry, name, teacher, examples, compute, rows)
    if not trial.generator_update.active(trial.step):
        raise InputError(
            f"stages.{name}: no objective trains θ within its {recipe.stages[name].steps} steps "
            "(generator_weight and generator_start say which do, and from when)"
        )
    trial.advance(norms=True)
    if trial.non_finite.count >= rows:
        raise InputError(f"stages.{name}: on a first batch no loss is finite; check its times and weights")


def _check_sampling(recipe: Recipe, prepared: Prepared, teacher: Teacher, compute: Compute) -> None:
    """Check that samplers take the numbers of steps that they are asked for."""
    table, parts = recipe.evaluation, prepared.parts
    settings: list[tuple[str, int, Sampler]] = [
        (f"evaluation.teacher_steps[{place}]", steps, parts.teacher_sampler)
        for place, steps in enumerate(table.teacher_steps)
    ]
    settings += [
        (
            f"evaluation.variants.{name}",
            steps_of(variant, table),
            parts.samplers.get(name, parts.teacher_sampler),
        )
        for name, variant in table.variants.items()
        if variant.of == "teacher"
    ]
    if recipe.teacher.pretrain and not recipe.teacher.path:
        steps = recipe.teacher.pretrain.validation_steps
        settings.append(("teacher.pretrain.validation_steps", steps, parts.teacher_sampler))
    probe, examples = _probe(teacher.network), prepared.splits["valid"][:1]
    for key, steps, sampler in settings:
        _try_steps(key, steps, SampledGenerator(probe, teacher.space, sampler), examples, compute)
    if recipe.stages:
        student = stage_student(*list(recipe.stages.items())[-1], teacher).with_network(probe)
        for place, steps in enumerate(table.student_steps):
            _try_steps(f"evaluation.student_steps[{place}]", steps, student, examples, compute)


def _try_steps(
    key: str, steps: int, generator: Generator, examples: Sequence[Example], compute: Compute
) -> None:
    try:
        generate_samples(generator, examples, compute, steps=steps)
    except _Reached:
        return
    except InputError as error:
        raise InputError(f"{key}: {error}") from None


class _Reached(Exception):
    """A sampler has accepted its settings, for it calls the network."""


def _probe(network: Denoiser) -> Denoiser:
    """Return a network whose first call ends the sampling."""

    def reached(*args: object, **wanted: object) -> NoReturn:
        raise _Reached

    probe: Any = copy.copy(network)
    probe.denoise = probe.evaluate = reached
    return cast(Denoiser, probe)
