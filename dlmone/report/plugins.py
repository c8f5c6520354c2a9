"""Load those plugins of a run's recipe that a page needs, if installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlmone.core import DlmoneError

from .reading import RunData

if TYPE_CHECKING:
    from dlmone.core import Chart, Evaluator
    from dlmone.registry import Recipe, Registry


@dataclass(frozen=True, slots=True)
class RunPlugins:
    """A run's evaluators by name, and the charts of its objectives."""

    evaluators: dict[str, Evaluator]
    charts: list[Chart]

    @classmethod
    def of(cls, run: RunData, registry: Registry) -> RunPlugins:
        """Return the plugins of a run's recipe; failures are added to ``run.missing``."""
        from dlmone.registry import load_recipe

        found = cls({}, [])
        if not run.recipe:
            return found
        try:
            recipe: Recipe = load_recipe(run.path / "recipe.toml", registry=registry).recipe
        except DlmoneError as error:
            run.missing.append(as_sentence(f"The recipe's evaluators cannot be used: {error}"))
            return found
        for key, slot in recipe.evaluation.metrics.items():
            try:
                found.evaluators[key] = registry.create("evaluators", slot, f"evaluation.metrics.{key}")
            except DlmoneError as error:
                run.missing.append(as_sentence(f"An evaluator of the recipe cannot be used: {error}"))
        terms = [slot for stage in recipe.stages.values() for slot in stage.objectives.values()]
        for name in dict.fromkeys(slot.use for slot in terms):
            try:
                found.charts.extend(registry.load("objectives", name).charts)
            except DlmoneError as error:
                run.missing.append(as_sentence(f"Values logged by {name} are not plotted: {error}"))
        return found


def charts_of(plugins: Sequence[RunPlugins]) -> list[Chart]:
    """Return the charts of several runs; of charts that share a value, the one with most values."""
    found = sorted((one for each in plugins for one in each.charts), key=lambda one: -len(one.names))
    kept: list[Chart] = []
    for chart in found:
        if not any(set(chart.names) <= set(one.names) for one in kept):
            kept.append(chart)
    return kept


def as_sentence(text: str) -> str:
    """Return a failure as one sentence."""
    return " ".join(text.split()).rstrip(".") + "."
