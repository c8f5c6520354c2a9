"""Rows of a table: systems and baselines, scored with whole signatures.

`dlmone evaluate` and the final evaluation of a run both make their tables of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlmone.core.text.evaluator import Evaluator, Sample, Score

from .confidence import Sums
from .evaluators import iter_scores
from .provenance import FIRST, UNVARIED, Provenance, signed


class Setting(BaseModel):
    """The setting at which a model of a run was sampled.

    Attributes:
        role: teacher or student.
        stage: the stage whose best student this is; None for the teacher.
        variant: the name under ``evaluation.variants``; None for a plain row.
        steps: the requested number of steps; the NFE is the provenance's ``calls``.
        sampler, augment: the plugins, with their non-default options.
    """

    model_config = ConfigDict(frozen=True)

    role: Literal["teacher", "student"]
    stage: str | None
    variant: str | None
    steps: int
    sampler: str
    augment: str


@dataclass(frozen=True, slots=True)
class Row:
    """One system at one setting, scored.

    Attributes:
        model: its name.
        scores: with their whole signatures.
        sums: by score, what its interval comes from; a score that is no function of sums has none.
        samples: what was scored.
        candidates: how many were sampled for each example.
        provenance: how they were sampled.
        selector: which candidate was scored.
        chosen_from: among how many it was selected; None if it was not.
        setting: at which it was sampled, where a run knows it.
        kind: a baseline is no output of a model.
        milliseconds: that one candidate took, if measured.
    """

    model: str
    scores: list[Score]
    sums: Mapping[str, Sums] = field(repr=False)
    samples: Sequence[Sample] = field(repr=False)
    candidates: int
    provenance: Provenance
    selector: str = FIRST
    kind: Literal["system", "baseline"] = "system"
    milliseconds: float | None = None
    setting: Setting | None = None
    chosen_from: int | None = None

    @property
    def name(self) -> str:
        """The model and, where there is one, the variant."""
        variant = self.setting.variant if self.setting else None
        return f"{self.model}, {variant}" if variant else self.model

    @property
    def title(self) -> str:
        """What distinguishes rows besides the number of calls: model, variant, selector."""
        return self.name if self.selector == FIRST else f"{self.name}, {self.selector}"

    @property
    def calls(self) -> int | None:
        """Network calls per candidate (NFE); None if unknown, and for a baseline."""
        return None if self.kind == "baseline" else self.provenance.calls

    @property
    def origin(self) -> str:
        """The part of the signatures with the samples' provenance."""
        return self.provenance.signature(self.candidates, self.selector)


def score(
    model: str,
    samples: Sequence[Sample],
    provenance: Provenance,
    evaluators: Mapping[str, Evaluator],
    *,
    kind: Literal["system", "baseline"] = "system",
    milliseconds: float | None = None,
    setting: Setting | None = None,
) -> Row:
    """Score samples with the evaluators for which they have enough candidates."""
    row = Row(model, [], {}, samples, drawn(samples), provenance, FIRST, kind, milliseconds, setting)
    return score_row(row, evaluators)


def score_row(row: Row, evaluators: Mapping[str, Evaluator]) -> Row:
    """Return a row with the scores of its samples."""
    found = list(iter_scores(row.samples, evaluators))
    sums = {score.name: one for score, by in found if (one := Sums.of(score, by, row.samples))}
    return replace(row, scores=signed([score for score, _ in found], row.origin), sums=sums)


def score_baselines(
    rows: Sequence[Row], evaluators: Mapping[str, Evaluator], names: Sequence[str] = ("copy", "reference")
) -> list[Row]:
    """Score the baselines without a model, once for each set of examples in the rows.

    ``copy`` repeats the source as every candidate; ``reference`` is the reference itself. Both went through
    the same tokenising and decoding as outputs. Unconditional samples have no ``copy``.
    """
    sets: dict[tuple[tuple[str, str], ...], Row] = {}
    for row in rows:
        sets.setdefault(tuple((sample.source, sample.reference) for sample in row.samples), row)
    return [
        score(
            name if len(sets) == 1 else f"{name}, {row.model}",
            samples,
            Provenance(model=name, sampler="none", augment=UNVARIED, calls=0, seeds=()),
            evaluators,
            kind="baseline",
        )
        for name in names
        for row in sets.values()
        if (samples := _baseline(name, row))
    ]


def _baseline(name: str, row: Row) -> list[Sample]:
    if name == "reference":
        return [replace(sample, candidates=(sample.reference,)) for sample in row.samples]
    if not any(sample.source for sample in row.samples):
        return []
    return [replace(sample, candidates=(sample.source,) * row.candidates) for sample in row.samples]


def drawn(samples: Sequence[Sample]) -> int:
    """Return the number of candidates per sample."""
    return min(len(sample.candidates) for sample in samples)
