"""Define the JSON schema of results, printed by ``dlmone evaluate --json`` and saved as ``results.json``.

docs/metrics.md describes it. Keys may be added; a change of meaning changes `FORMAT`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel

from .confidence import Comparison, Resampling
from .provenance import Provenance
from .scoring import Row, Setting

FORMAT: Final = "dlmone.results/1"


class ScoreResult(BaseModel):
    """A score: ``interval`` is the bootstrap's; ``per_sample`` is in the order of the row's ``ids``.

    ``measures`` says what the score measures, and ``corrects`` which other score can be gamed that this one
    is beside, for reports (`dlmone.core.Score`).
    """

    value: float
    interval: tuple[float, float] | None
    direction: Literal["higher", "lower", "neither"]
    signature: str
    measures: Literal["quality", "diversity", "health"] = "quality"
    corrects: str | None = None
    per_sample: list[float] | None = None


class RowResult(BaseModel):
    """One system at one setting. ``calls`` are network calls per candidate (NFE)."""

    model: str
    kind: Literal["system", "baseline"]
    samples: int
    candidates: int
    selector: str
    setting: Setting | None = None
    chosen_from: int | None = None
    calls: int | None
    milliseconds_per_sample: float | None
    provenance: Provenance
    ids: list[str] | None = None
    scores: dict[str, ScoreResult]

    @property
    def origin(self) -> str:
        """The end of every signature in the row: the samples' provenance."""
        return self.provenance.signature(self.candidates, self.selector)

    def definition(self, name: str) -> str:
        """Return the beginning of a score's signature: its evaluator's definition."""
        return self.scores[name].signature.removesuffix(f"|{self.origin}")


class ComparisonResult(BaseModel):
    """``model`` less ``against``: the difference of a score, its interval, and the two-sided p-value."""

    model: str
    against: str
    selector: str
    score: str
    difference: float
    interval: tuple[float, float]
    p: float


class Bootstrap(BaseModel):
    """The settings of intervals and p-values."""

    resamples: int
    seed: int
    level: float

    @classmethod
    def of(cls, resampling: Resampling) -> Bootstrap:
        """Return the settings of a resampling."""
        return cls(resamples=resampling.resamples, seed=resampling.seed, level=resampling.level)


class Results(BaseModel):
    """A whole table."""

    format: Literal["dlmone.results/1"] = FORMAT
    bootstrap: Bootstrap | None
    rows: list[RowResult]
    comparisons: list[ComparisonResult] = []

    def text(self) -> str:
        """Return the results as JSON, with values per example only if requested."""
        if any(row.ids is not None for row in self.rows):
            return self.model_dump_json(indent=1)
        values = {"per_sample": True}
        return self.model_dump_json(
            indent=1, exclude={"rows": {"__all__": {"ids": True, "scores": {"__all__": values}}}}
        )


#: The file of a run's report that holds `NoiseToText`.
NOISE_TO_TEXT: Final = "noise-to-text.json"


class NoiseToText(BaseModel):
    """From noise to text: ``texts[n][i]`` is what the estimate of call i + 1 decodes to for example n;
    of the last call, it is the output.

    A call that guidance adds, for an empty condition, is left out. ``calls`` are all of a sample.
    """

    ids: list[str]
    sources: list[str]
    calls: int
    texts: list[list[str]]


#: The comparisons of two rows, by score.
Compared = tuple[Row, Row, Mapping[str, Comparison]]


def results(
    rows: Sequence[Row],
    resampling: Resampling | None,
    compared: Sequence[Compared] = (),
    *,
    per_sample: bool = False,
) -> Results:
    """Return rows with their intervals, in the schema.

    Args:
        rows: the scored rows.
        resampling: settings of the intervals; no intervals if None.
        compared: the comparisons of rows.
        per_sample: whether to include each score's values per example.
    """
    sums = [one for row in rows for one in row.sums.values()]
    drawn = iter(resampling.intervals(sums) if resampling else ())
    intervals = [dict(zip(row.sums, drawn, strict=False)) for row in rows]
    return Results(
        bootstrap=Bootstrap.of(resampling) if resampling else None,
        rows=[_row(row, found, per_sample) for row, found in zip(rows, intervals, strict=True)],
        comparisons=[
            ComparisonResult(
                model=one.model,
                against=other.model,
                selector=one.selector,
                score=name,
                difference=found.difference,
                interval=found.interval,
                p=found.p,
            )
            for one, other, comparisons in compared
            for name, found in comparisons.items()
        ],
    )


def _row(row: Row, intervals: Mapping[str, tuple[float, float]], per_sample: bool) -> RowResult:
    scores = {
        score.name: ScoreResult(
            value=score.value,
            interval=intervals.get(score.name),
            direction=score.direction,
            signature=score.signature,
            measures=score.measures,
            corrects=score.corrects,
            per_sample=list(score.per_sample) if per_sample and score.per_sample else None,
        )
        for score in row.scores
    }
    return RowResult(
        model=row.model,
        kind=row.kind,
        samples=len(row.samples),
        candidates=row.candidates,
        selector=row.selector,
        setting=row.setting,
        chosen_from=row.chosen_from,
        calls=row.calls,
        milliseconds_per_sample=row.milliseconds,
        provenance=row.provenance,
        ids=[sample.id for sample in row.samples] if per_sample else None,
        scores=scores,
    )
