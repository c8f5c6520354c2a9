"""What choosing among 1, 2, … candidates gives, from the samples that a run wrote (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlmone.core import DlmoneError
from dlmone.engine.choosing import choices, score_selected
from dlmone.engine.results import RowResult, results
from dlmone.engine.scoring import Row, drawn
from dlmone.engine.statistics import Resampling

from .reading import RunData
from .systems import System, Systems

if TYPE_CHECKING:
    from dlmone.core import Evaluator
    from dlmone.registry import Registry


@dataclass(frozen=True, slots=True)
class Choice:
    """One system scored by one candidate a sample.

    Attributes:
        system: who wrote the candidates.
        rows: scores of the candidate that is chosen among the first k, for k = 1, 2, …
    """

    system: System
    rows: Sequence[RowResult]

    @property
    def names(self) -> list[str]:
        """The scores that a single candidate has."""
        return list(self.rows[0].scores)

    def values(self, name: str) -> list[float]:
        """Return a score for each k."""
        return [row.scores[name].value for row in self.rows]


@dataclass(frozen=True)
class Judges:
    """Who chooses and who scores.

    Attributes:
        registry: where they are.
        selector: the selector's name.
    """

    registry: Registry
    selector: str

    def evaluators(self, run: RunData) -> dict[str, Evaluator]:
        """Return the evaluators of a run's recipe; one that is not to be had goes to ``run.missing``."""
        from dlmone.registry import load_recipe

        if not run.recipe:
            return {}
        try:
            recipe = load_recipe(run.path / "recipe.toml", registry=self.registry).recipe
            return {
                key: self.registry.create("evaluators", slot, f"evaluation.metrics.{key}")
                for key, slot in recipe.evaluation.metrics.items()
            }
        except DlmoneError as error:
            run.missing.append(_sentence(f"The recipe's evaluators cannot be used: {error}"))
            return {}

    def choose(self, run: RunData, evaluators: Mapping[str, Evaluator]) -> list[Choice]:
        """Choose among the candidates of the teacher and of the last student; what cannot be is left out."""
        systems = Systems.of(run.results)
        wanted = [one for one in (systems.teacher, *systems.last_stage) if one and one.row.candidates > 1]
        try:
            return [made for one in wanted if evaluators and (made := self._choice(one, run, evaluators))]
        except DlmoneError as error:
            run.missing.append(_sentence(f"Choices among candidates could not be scored: {error}"))
            return []

    def _choice(self, system: System, run: RunData, evaluators: Mapping[str, Evaluator]) -> Choice | None:
        from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

        found = run.written(system.row.provenance)
        if found is None:
            run.missing.append(f"The samples of {system.name} are not there.")
            return None
        selector = self.registry.create("selectors", SelectorSlot(use=self.selector), "--select")
        metric = None
        if selector.utility:
            metric = self.registry.create("evaluators", EvaluatorSlot(use=selector.utility), "--select")
        picks = choices(found.samples, selector, metric, None)
        row = Row(system.row.model, [], {}, found.samples, drawn(found.samples), found.provenance)
        scored = score_selected(
            row, {f"{self.selector}-{k}": picked for k, picked in picks.items()}, evaluators
        )
        return Choice(system, results(list(scored), Resampling()).rows)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."
