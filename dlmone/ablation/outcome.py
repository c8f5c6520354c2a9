"""Tell how far a run of a grid has come, from its folder."""

from __future__ import annotations

from enum import Enum, auto
from functools import cache
from pathlib import Path

from dlmone.core import InputError
from dlmone.evaluation.results import Results
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import Evaluation

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
    recipe = run.path / "recipe.toml"
    if not recipe.is_file() or not (run.path / "report" / "results.json").is_file():
        return Outcome.OPEN
    evaluated = _evaluation(recipe, recipe.stat().st_mtime_ns, run.registry)
    return Outcome.FINISHED if evaluated == run.resolved.recipe.evaluation else Outcome.OPEN


@cache
def _evaluation(recipe: Path, changed: int, registry: Registry) -> Evaluation | None:
    """Return the evaluation of a run's recipe, what another version did not name filled in."""
    try:
        return load_recipe(recipe, registry=registry).recipe.evaluation
    except InputError:
        return None


def failure(run: PlannedRun) -> str | None:
    """Return the sentence with which a run failed, if it did."""
    path = run.path / FAILED
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def results_of(run: PlannedRun) -> Results:
    """Return the final table of a finished run."""
    return Results.model_validate_json((run.path / "report" / "results.json").read_text(encoding="utf-8"))
