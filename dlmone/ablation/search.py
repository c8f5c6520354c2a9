"""Select among a row's candidates by the validation metric of their first seed, without any test row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlmone.models.configuration import read_config

from .outcome import Outcome, outcome_of, results_of
from .plan import Candidate, PlannedRow, PlannedRun


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate reached on the validation split; no ``value`` if it failed or has not finished."""

    name: str
    metric: str | None = None
    value: float | None = None


def trial(candidate: Candidate) -> Trial:
    """Return the best validation score of a candidate's first run, in its last stage."""
    run = candidate.runs[0]
    if outcome_of(run) is not Outcome.FINISHED:
        return Trial(candidate.name)
    student = read_config(run.path / "student")["student"]
    return Trial(candidate.name, student["metric"], student["best"])


def selected(row: PlannedRow, is_open: Callable[[PlannedRun], bool]) -> Candidate | None:
    """Return the candidate with the best validation score; None if one is still to be run, or all failed.

    A row without a search has one candidate, which needs no score.
    """
    if len(row.candidates) == 1:
        return row.candidates[0]
    if any(is_open(one.runs[0]) for one in row.candidates):
        return None
    tried = [(one, trial(one)) for one in row.candidates]
    scored = [(one, found) for one, found in tried if found.value is not None]
    if not scored:
        return None
    sign = -1 if _falls(scored[0][0].runs[0], scored[0][1].metric) else 1
    return max(scored, key=lambda pair: sign * (pair[1].value or 0.0))[0]


def _falls(run: PlannedRun, metric: str | None) -> bool:
    """Tell whether lower scores of a metric are better."""
    scores = (row.scores[metric] for row in results_of(run).rows if metric in row.scores)
    return any(score.direction == "lower" for score in scores)
