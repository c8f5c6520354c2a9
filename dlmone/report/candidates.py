"""Score the candidate selected among the first 1, 2, … candidates (the paper's Figure 2)."""

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

from .plugins import as_sentence
from .reading import RunData
from .systems import System, Systems

if TYPE_CHECKING:
    from dlmone.core import Evaluator
    from dlmone.registry import Registry


@dataclass(frozen=True, slots=True)
class Selection:
    """One system's scores with one selected candidate per sample.

    Attributes:
        system: the system that generated the candidates.
        rows: scores of the candidate selected among the first k, for k = 1, 2, …
    """

    system: System
    rows: Sequence[RowResult]

    @property
    def names(self) -> list[str]:
        """Names of the scores defined for a single candidate."""
        return list(self.rows[0].scores)

    def values(self, name: str) -> list[float]:
        """Return a score for each k."""
        return [row.scores[name].value for row in self.rows]


def select(
    run: RunData, evaluators: Mapping[str, Evaluator], registry: Registry, selector: str
) -> list[Selection]:
    """Select among the candidates of the teacher and of the last student, and score the selected ones.

    Failures are added to ``run.missing``.
    """
    systems = Systems.of(run.results)
    wanted = [one for one in (systems.teacher, *systems.last_stage) if one and one.row.candidates > 1]
    if not evaluators or not wanted:
        return []

    def utility(name: str) -> tuple[EvaluatorSlot, Evaluator]:
        slot = EvaluatorSlot(use=name)
        return slot, registry.create("evaluators", slot, "--select")

    try:
        by = CandidateSelector.of(registry, SelectorSlot(use=selector), utility, "--select")
        return [made for one in wanted if (made := _selection(one, run, by, evaluators))]
    except DlmoneError as error:
        run.missing.append(as_sentence(f"Selected candidates could not be scored: {error}"))
        return []


def _selection(
    system: System, run: RunData, selector: CandidateSelector, evaluators: Mapping[str, Evaluator]
) -> Selection | None:
    found = run.written(system.row.provenance)
    if found is None:
        run.missing.append(f"The samples of {system.name} are missing.")
        return None
    row = Row(system.row.model, [], {}, found.samples, drawn(found.samples), found.provenance)
    return Selection(system, results(list(selector.rows(row, evaluators)), Resampling()).rows)
