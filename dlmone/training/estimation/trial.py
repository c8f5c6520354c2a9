"""Run an iteration of each part of a recipe on a few rows: to see that it works, and what it takes."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from dlmone.core import Example, Sketch, Teacher
from dlmone.registry import Recipe, Registry
from dlmone.registry.schema import Pretrain, Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.runtime.memory import peak_allocated

from ..batches.tokenized import TokenizedExamples
from ..distillation import Distillation
from ..pretraining import Pretraining
from ..stage import stage_objectives
from .calibration import Costs, iteration_cost, pretraining_cost, seconds_of
from .effort import stage_effort

#: Seconds of an iteration that is timed, at most where a row alone takes no longer.
SECONDS = 1.0
#: Iterations that are timed, of which the median counts.
TIMES = 3
#: Examples for each row.
EXAMPLES = 4
#: What a stage's trial has otherwise than the stage: both roles are updated, after all of θ's calls.
TRIED = {"estimator_warmup": 0, "matching": "last"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What an iteration took.

    Attributes:
        rows: the samples of its batch.
        beyond: the seconds that it took beyond its network passes: for noise, losses, heads, gradients,
            optimizers and averages.
        bytes: the peak of what was allocated, with all networks and optimizers but the loaded teacher.
    """

    rows: int
    beyond: float
    bytes: float


def pretraining_trial(
    config: Pretrain, teacher: Teacher, examples: Sequence[Example], compute: Compute, seed: int, rows: int
) -> Pretraining:
    """Return the pretraining of a copy of a teacher with batches of ``rows``, by this process alone.

    Processes that share out the networks try it together.
    """
    small = config.model_copy(update={"batch": rows})
    return Pretraining(copy.deepcopy(teacher), small, examples, _alone(compute), seed)


def stage_trial(
    recipe: Recipe,
    registry: Registry,
    name: str,
    teacher: Teacher,
    examples: Sequence[Example],
    compute: Compute,
    rows: int,
) -> Distillation:
    """Return a stage with batches of ``rows``, by this process alone, before its last step.

    Its iteration makes the updates of both roles, with all terms and all of the student's calls. The run's
    own objectives learn nothing from it. Processes that share out the networks try it together.
    """
    stage = recipe.stages[name]
    small = stage.model_copy(update={**TRIED, "batch": rows})
    objectives = stage_objectives(registry, recipe, name)
    tokenized = TokenizedExamples(teacher.space, examples)
    trial = Distillation(name, small, teacher, objectives, tokenized, _alone(compute), recipe.seed)
    trial.step = stage.steps - 1
    return trial


def run_trials(
    recipe: Recipe,
    registry: Registry,
    teacher: Teacher,
    examples: Sequence[Example],
    compute: Compute,
    costs: Costs,
    sketch: Sketch,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Trial]:
    """Run iterations of pretraining and of every stage, with as many rows as ``seconds`` allow.

    Args:
        recipe: the recipe.
        registry: its plugins.
        teacher: trained or not, on the compute device; it stays as it is.
        examples: the training split.
        compute: device and precision.
        costs: what passes take, from which the number of rows follows.
        sketch: the size of the networks.
        seconds: of an iteration; one row is run in any case.
        clock: a time in seconds.

    Returns:
        The trials, by the name of the stage; that of pretraining is ``teacher``.
    """
    found: dict[str, Trial] = {}

    def run(
        build: Callable[[int], Pretraining | Distillation], config: Pretrain | Stage, cost: float
    ) -> Trial:
        rows = max(1, min(config.batch, int(seconds / cost)))
        trained: list[Pretraining | Distillation] = []

        def once() -> None:
            trained[0].step = min(trained[0].step, config.steps - 1)
            trained[0].advance(norms=False)

        def begin() -> None:
            trained.append(build(rows))
            once()  # makes the optimizers' moments
            once()

        peak = peak_allocated(begin, compute.device)
        taken = median(seconds_of(once, compute.device, clock) for _ in range(TIMES))
        return Trial(rows, taken - rows * cost, peak)

    pretrain = recipe.teacher.pretrain
    if pretrain and not recipe.teacher.path:
        found["teacher"] = run(
            lambda rows: pretraining_trial(
                pretrain, teacher, examples[: EXAMPLES * rows], compute, recipe.seed, rows
            ),
            pretrain,
            pretraining_cost(sketch, costs),
        )
    frozen = copy.deepcopy(teacher).requires_grad_(False).eval()
    for name, stage in recipe.stages.items():
        tried = stage.model_copy(update=TRIED)
        efforts = stage_effort(tried, stage_objectives(registry, recipe, name), sketch)
        found[name] = run(
            lambda rows, name=name: stage_trial(  # type: ignore[misc]
                recipe, registry, name, frozen, examples[: EXAMPLES * rows], compute, rows
            ),
            stage,
            iteration_cost(tried, efforts, costs),
        )
    return found


def _alone(compute: Compute) -> Compute:
    """Return a device for a trial: one process, no end where losses of an untrained network overflow.

    It is not compiled, which takes longer than a trial.
    """
    world = World() if compute.mesh is None else compute.world
    return replace(compute, world=world, non_finite_limit=sys.maxsize, compile=False)
