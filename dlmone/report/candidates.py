"""What choosing among 1, 2, … candidates gives, from the samples that a run wrote (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlmone.core import DlmoneError
from dlmone.evaluation.confidence import Resampling
from dlmone.evaluation.results import RowResult, results
from dlmone.evaluation.scoring import Row, drawn
from dlmone.evaluation.selection import CandidateSelector
from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

from .reading import RunData
from .systems import System, Systems

if TYPE_CHECKING:
    from dlmone.core import Evaluator
    from dlmone.registry import Recipe, Registry


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
    """Who scores a run's outputs and who chooses among them; what cannot be had goes to ``run.missing``.

    Attributes:
        registry: where they are.
        selector: the selector's name.
    """

    registry: Registry
    selector: str

    def evaluators(self, run: RunData) -> dict[str, Evaluator]:
        """Return the evaluators of a run's recipe."""
        from dlmone.registry import load_recipe

        if not run.recipe:
            return {}
        try:
            recipe: Recipe = load_recipe(run.path / "recipe.toml", registry=self.registry).recipe
            return {
                key: self.registry.create("evaluators", slot, f"evaluation.metrics.{key}")
                for key, slot in recipe.evaluation.metrics.items()
            }
        except DlmoneError as error:
            run.missing.append(_sentence(f"The recipe's evaluators cannot be used: {error}"))
            return {}

    def choose(self, run: RunData, evaluators: Mapping[str, Evaluator]) -> list[Choice]:
        """Choose among the candidates of the teacher and of the last student."""
        systems = Systems.of(run.results)
        wanted = [one for one in (systems.teacher, *systems.last_stage) if one and one.row.candidates > 1]
        if not evaluators or not wanted:
            return []
        try:
            chooser = CandidateSelector.of(
                self.registry, SelectorSlot(use=self.selector), self._utility, "--select"
            )
            return [made for one in wanted if (made := _choice(one, run, chooser, evaluators))]
        except DlmoneError as error:
            run.missing.append(_sentence(f"Choices among candidates could not be scored: {error}"))
            return []

    def _utility(self, name: str) -> tuple[EvaluatorSlot, Evaluator]:
        slot = EvaluatorSlot(use=name)
        return slot, self.registry.create("evaluators", slot, "--select")


def _choice(
    system: System, run: RunData, chooser: CandidateSelector, evaluators: Mapping[str, Evaluator]
) -> Choice | None:
    found = run.written(system.row.provenance)
    if found is None:
        run.missing.append(f"The samples of {system.name} are not there.")
        return None
    row = Row(system.row.model, [], {}, found.samples, drawn(found.samples), found.provenance)
    return Choice(system, results(list(chooser.rows(row, evaluators)), Resampling()).rows)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."
