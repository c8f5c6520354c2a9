"""Tell how far a run of a grid has come, from its folder."""

from __future__ import annotations

import tomllib
from enum import Enum, auto

from dlmone.evaluation.results import Results

from .plan import PlannedRun

#: In a run's folder: the sentence with which it failed.
FAILED = "failed.txt"


class Outcome(Enum):
    OPEN = auto()
    FINISHED = auto()
    FAILED = auto()


def outcome_of(run: PlannedRun) -> Outcome:
    """Return how far a run has come. One that was evaluated in another way has its evaluation to come."""
    if (run.path / FAILED).is_file():
        return Outcome.FAILED
    try:
        table = tomllib.loads((run.path / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Outcome.OPEN
    evaluated = table.get("evaluation") == run.resolved.table.get("evaluation")
    done = evaluated and (run.path / "report" / "results.json").is_file()
    return Outcome.FINISHED if done else Outcome.OPEN


def failure(run: PlannedRun) -> str | None:
    """Return the sentence with which a run failed, if it did."""
    path = run.path / FAILED
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def results_of(run: PlannedRun) -> Results:
    """Return the final table of a finished run."""
    return Results.model_validate_json((run.path / "report" / "results.json").read_text(encoding="utf-8"))
