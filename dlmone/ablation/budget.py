"""Give every row of a grid the same training budget, counted in network passes.

One pass is one example once forward through a network of the teacher's size. An evaluation costs 1 pass
forward, 1 more if gradient flows to its input, and 2 more if its parameters are trained: a trained evaluation
is 3. Which evaluations an iteration makes follows from its objectives' requests (`stage_effort`). Validation,
the final evaluation and the teacher's pretraining are not part of the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlmone.core import InputError, Objective, Sketch
from dlmone.registry import Recipe
from dlmone.registry.schema import Stage
from dlmone.training.estimation.effort import iteration_updates, stage_effort


class StageCost:
    """The passes of a stage by iteration. They change where ψ's warm-up ends and where a term starts."""

    def __init__(self, stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch) -> None:
        starts = {0, stage.estimator_warmup, *(slot.generator_start for slot in stage.objectives.values())}
        self.pieces = [(start, _passes(stage, objectives, sketch, start)) for start in sorted(starts)]

    def until(self, steps: int) -> float:
        """Return the passes of the first ``steps`` iterations."""
        ends = [start for start, _ in self.pieces[1:]]
        return sum(
            passes * max(0, min(end, steps) - start)
            for (start, passes), end in zip(self.pieces, [*ends, steps], strict=True)
        )

    def steps(self, passes: float) -> int:
        """Return the number of whole iterations that ``passes`` pay for."""
        low, high = 0, 1
        while self.until(high) <= passes:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.until(middle) <= passes else (low, middle)
        return low


def _passes(stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch, step: int) -> float:
    """Return the passes of one iteration over a whole batch."""
    updates = {**iteration_updates(stage), "generator": int(step >= stage.estimator_warmup)}
    efforts = stage_effort(stage, objectives, sketch, step)
    return stage.batch * sum(updates[role] * (one.passes + one.exact) for role, one in efforts.items())


def costs(
    recipe: Recipe, objectives: Mapping[str, Mapping[str, Objective]], sketch: Sketch
) -> dict[str, StageCost]:
    """Return the cost of each stage of a recipe by name."""
    return {name: StageCost(stage, objectives[name], sketch) for name, stage in recipe.stages.items()}


def fitted(recipe: Recipe, found: Mapping[str, StageCost], passes: float) -> list[tuple[str, Any]]:
    """Return the settings that make a recipe's stages cost ``passes`` in all, less than an iteration each.

    Stages keep their shares of the cost, and the number of their validations. A learning rate that falls over
    a stage follows its steps; what is given in iterations or samples (warm-ups, averages) stays.

    Raises:
        InputError: the budget does not reach the first update of θ.
    """
    written = {name: cost.until(recipe.stages[name].steps) for name, cost in found.items()}
    settings: list[tuple[str, Any]] = []
    for name, cost in found.items():
        stage = recipe.stages[name]
        steps = cost.steps(passes * written[name] / sum(written.values()))
        if steps <= stage.estimator_warmup:
            raise InputError(
                f"stages.{name}: {passes:,.0f} passes pay for {steps} iterations, "
                f"too few for θ's first update, which comes after {stage.estimator_warmup}"
            )
        validations = max(1, stage.steps // stage.validation.every)
        settings += [
            (f"stages.{name}.steps", steps),
            (f"stages.{name}.validation.every", -(-steps // validations)),
        ]
    return settings
