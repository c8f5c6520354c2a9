"""Collect the results of a grid: by row and number of network calls, means over seeds with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Final, Literal

from pydantic import BaseModel

from dlmone.evaluation.provenance import FIRST
from dlmone.evaluation.results import RowResult
from dlmone.report.log import read_log

from .intervals import LEVEL, t_interval
from .outcome import Outcome, failure, outcome_of, results_of
from .plan import Candidate, Plan, PlannedRow, PlannedRun
from .search import selected, trial

FORMAT: Final = "dlmone.ablation/1"


class Mean(BaseModel):
    """A score over seeds. ``interval`` is Student's t; None for one seed."""

    mean: float
    interval: tuple[float, float] | None
    values: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        return cls(mean=fmean(values), interval=t_interval(values), values=list(values))


class Tried(BaseModel):
    """A candidate of a row's search with its best validation score; no ``value`` before it has finished."""

    name: str
    metric: str | None
    value: float | None
    failed: bool

    @classmethod
    def of(cls, candidate: Candidate) -> Tried:
        found = trial(candidate)
        failed = failure(candidate.runs[0]) is not None
        return cls(name=found.name, metric=found.metric, value=found.value, failed=failed)

    @property
    def text(self) -> str:
        """The score, or why there is none."""
        return f"{self.value:.3f}" if self.value is not None else "failed" if self.failed else "to come"


class CurvePoint(BaseModel):
    """A validation of one run: its scores after so many passes of training."""

    seed: int
    passes: float
    scores: dict[str, float]


class ScoreFacts(BaseModel):
    """How to read a score: `dlmone.core.Score` without its value, and its definition."""

    direction: Literal["higher", "lower", "neither"]
    measures: Literal["quality", "diversity", "health"]
    definition: str

    @classmethod
    def of(cls, row: RowResult) -> dict[str, ScoreFacts]:
        """Return those of a row's scores by name."""
        return {
            name: cls(direction=one.direction, measures=one.measures, definition=row.definition(name))
            for name, one in row.scores.items()
        }


class GridRowResult(BaseModel):
    """A row of the table.

    Attributes:
        seeds: of the runs that finished.
        passes, seconds: what the training of one run cost; seconds are measured, a mean over runs.
        scores: by number of network calls, then by name.
        chosen, tried: what was selected on validation, and among what; empty without a search.
        curve: the validations of these runs, of the weights that are published.
        calls: in how many network calls they sample.
        failures: the sentences of runs that failed.
    """

    name: str
    seeds: list[int]
    passes: float
    seconds: float | None
    scores: dict[int, dict[str, Mean]]
    chosen: str = ""
    tried: list[Tried] = []
    curve: list[CurvePoint] = []
    calls: int = 1
    failures: list[str] = []


class GridResults(BaseModel):
    """A whole grid. ``teacher`` holds one run's scores by number of network calls."""

    format: Literal["dlmone.ablation/1"] = FORMAT
    level: float = LEVEL
    passes: float | None
    seeds: list[int]
    examples: int
    candidates: int
    scores: dict[str, ScoreFacts]
    teacher: dict[int, dict[str, float]]
    rows: list[GridRowResult]

    @property
    def failed(self) -> list[GridRowResult]:
        return [row for row in self.rows if row.failures]


def collect(plan: Plan) -> GridResults:
    """Read what the runs of a grid have left. Runs that have not finished are left out."""
    known: dict[str, ScoreFacts] = {}
    taught: dict[int, dict[str, float]] = {}
    samples = candidates = 0
    if outcome_of(plan.teacher) is Outcome.FINISHED:
        for calls, row in _plain(plan.teacher, None).items():
            samples, candidates = row.samples, row.candidates
            known |= ScoreFacts.of(row)
            taught[calls] = {name: score.value for name, score in row.scores.items()}
    rows = [_row(row, known) for row in plan.rows]
    return GridResults(
        passes=plan.passes,
        seeds=list(plan.seeds),
        examples=samples,
        candidates=candidates,
        scores=known,
        teacher=taught,
        rows=rows,
    )


def _row(row: PlannedRow, known: dict[str, ScoreFacts]) -> GridRowResult:
    searched = len(row.candidates) > 1
    chosen = selected(row, lambda run: outcome_of(run) is Outcome.OPEN)
    runs = chosen.runs if chosen else []
    done = [run for run in runs if outcome_of(run) is Outcome.FINISHED]
    failures = [sentence for run in runs if (sentence := failure(run))]
    if searched:
        firsts = [(one.name, failure(one.runs[0])) for one in row.candidates if one is not chosen]
        failures += [f"{name}: {sentence}" for name, sentence in firsts if sentence]
    scores: dict[int, dict[str, list[float]]] = {}
    for run in done:
        last = list(run.resolved.recipe.stages)[-1]
        for calls, found in _plain(run, last).items():
            known |= {name: facts for name, facts in ScoreFacts.of(found).items() if name not in known}
            for name, score in found.scores.items():
                scores.setdefault(calls, {}).setdefault(name, []).append(score.value)
    seconds = [spent for run in done if (spent := _seconds(run)) is not None]
    any_run = row.candidates[0].runs[0]
    return GridRowResult(
        name=row.name,
        seeds=[run.seed for run in done],
        passes=(runs or [any_run])[0].passes,
        seconds=fmean(seconds) if seconds else None,
        scores={
            calls: {name: Mean.of(values) for name, values in found.items()}
            for calls, found in sorted(scores.items())
        },
        chosen=chosen.name if chosen and searched else "",
        tried=[Tried.of(one) for one in row.candidates] if searched else [],
        curve=[point for run in done for point in _curve(run)],
        calls=list(any_run.resolved.recipe.stages.values())[-1].calls,
        failures=failures,
    )


def _plain(run: PlannedRun, stage: str | None) -> dict[int, RowResult]:
    """Return the plain rows of a run's last student, or of its teacher, by network calls."""
    return {
        row.calls: row
        for row in results_of(run).rows
        if row.setting
        and row.calls
        and (row.setting.stage, row.setting.variant, row.selector) == (stage, None, FIRST)
    }


def _seconds(run: PlannedRun) -> float | None:
    log = read_log(run.path / "metrics.jsonl")
    spent = [log.seconds(name) for name in run.resolved.recipe.stages]
    return sum(one for one in spent if one is not None) if any(spent) else None


def _curve(run: PlannedRun) -> Iterator[CurvePoint]:
    """Yield the validations that sample in as many network calls as the last stage's."""
    stages = run.resolved.recipe.stages
    calls = list(stages.values())[-1].calls
    for stage in read_log(run.path / "metrics.jsonl").distilled().stages:
        prefix = f"{stages[stage.name].weights}/"
        for entry in stage.entries:
            if stages[stage.name].calls == calls and entry["kind"] == "validation":
                scores = {
                    key.removeprefix(prefix): value for key, value in entry.items() if key.startswith(prefix)
                }
                passes = run.passes_until(stage.name, entry["step"])
                yield CurvePoint(seed=run.seed, passes=passes, scores=scores)
