"""Estimate confidence intervals and p-values by resampling examples (Efron, 1979; Koehn, 2004).

An interval shows how a score varies with other test examples of the same kind. It does not cover other seeds
of training or sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlmone.core.text.evaluator import CorpusMetric, Evaluator, Sample, Score

Array = NDArray[np.float64]

#: Maximum number of counts drawn at a time (32 MB).
_CHUNK = 4_000_000
#: Scores computed between two reports of progress.
_AT_A_TIME = 1000


def _ignore(count: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A score as a function of sums over examples.

    Attributes:
        rows_NS: the contribution of each of N examples to S sums.
        value: maps totals [S] to the score.
    """

    rows_NS: Array
    value: Callable[[Array], float]

    @classmethod
    def of_mean(cls, values: Sequence[float]) -> Sums:
        """Return the mean of one value per example."""
        size = len(values)
        return cls(np.asarray(values, dtype=np.float64)[:, None], lambda totals: float(totals[0] / size))

    @classmethod
    def of(cls, score: Score, evaluator: Evaluator, samples: Sequence[Sample]) -> Sums | None:
        """Return the sums behind an evaluator's score, or None if the score is not a function of sums."""
        if score.per_sample is not None:
            return cls.of_mean(score.per_sample)
        if not isinstance(evaluator, CorpusMetric):
            return None

        def value(totals: Array) -> float:
            found = evaluator.from_statistics(totals)
            return found[score.name] if isinstance(found, Mapping) else found

        return cls(evaluator.corpus_statistics(samples), value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of two scores, its interval, and its p-value."""

    difference: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True, slots=True)
class Resampling:
    """Seeded bootstrap and randomisation; every score and system gets the same resamples.

    Attributes:
        resamples: number of resamples; a p-value is a multiple of 1 / (1 + resamples).
        seed: seed of the resamples.
        level: coverage of the intervals.
        advance: is told how many resamples were drawn, or scored, since it was last called; in all
            `interval_work` and `comparison_work`.
    """

    resamples: int = 1000
    seed: int = 0
    level: float = 0.95
    advance: Callable[[int], None] = field(default=_ignore, repr=False, compare=False)

    def interval_work(self, scores: Sequence[Sums]) -> int:
        """Return what `intervals` reports to ``advance`` in all."""
        return self.resamples * (len(_by_size(scores)) + len(scores))

    def comparison_work(self, pairs: int) -> int:
        """Return what `compare` reports to ``advance`` in all for pairs of scores."""
        return self.resamples * (2 + 4 * pairs) if pairs else 0

    def intervals(self, scores: Sequence[Sums]) -> list[tuple[float, float]]:
        """Return the percentile bootstrap interval of each score."""
        drawn = dict[int, Array]()
        for size, places in _by_size(scores).items():
            rows = np.concatenate([scores[i].rows_NS for i in places], axis=1)
            totals = np.concatenate([counts_RN @ rows for counts_RN in self._bootstrap(size)])
            drawn |= zip(places, _split(totals, [scores[i] for i in places]), strict=True)
        return [self._interval(self._values(score, drawn[i])) for i, score in enumerate(scores)]

    def compare(self, ones: Sequence[Sums], others: Sequence[Sums]) -> list[Comparison]:
        """Compare the scores of two systems one by one; rows are of the same examples in the same order.

        The interval is the paired bootstrap's, the p-value that of two-sided approximate randomisation
        (Noreen, 1989): in each of R trials the two systems' outputs are exchanged at each example with
        probability ½, and p = (1 + trials whose difference is as large) / (1 + R).
        """
        if not ones:
            return []
        a_NS, b_NS = (np.concatenate([score.rows_NS for score in side], axis=1) for side in (ones, others))
        size = len(a_NS)
        drawn = [(counts_RN @ a_NS, counts_RN @ b_NS) for counts_RN in self._bootstrap(size)]
        moved = np.concatenate([coins_RN @ (b_NS - a_NS) for coins_RN in self._coins(size)])
        resampled = [np.concatenate(side) for side in zip(*drawn, strict=True)]
        exchanged = [a_NS.sum(axis=0) + moved, b_NS.sum(axis=0) - moved]
        columns = [_split(totals, ones) for totals in (*resampled, *exchanged)]
        return [
            self._comparison(one, other, *totals)
            for one, other, *totals in zip(ones, others, *columns, strict=True)
        ]

    def _comparison(
        self, one: Sums, other: Sums, a_RS: Array, b_RS: Array, c_RS: Array, d_RS: Array
    ) -> Comparison:
        observed = one.value(one.rows_NS.sum(axis=0)) - other.value(other.rows_NS.sum(axis=0))
        interval = self._interval(self._values(one, a_RS) - self._values(other, b_RS))
        # Rounding must not hide a trial that exchanged everything, or nothing.
        chance = np.abs(self._values(one, c_RS) - self._values(other, d_RS))
        as_large = int(np.count_nonzero(chance >= abs(observed) - 1e-12))
        return Comparison(observed, interval, (1 + as_large) / (1 + self.resamples))

    def _values(self, score: Sums, totals_RS: Array) -> Array:
        """Return the scores [R] of R totals."""
        found = np.empty(len(totals_RS))
        for start in range(0, len(totals_RS), _AT_A_TIME):
            part = totals_RS[start : start + _AT_A_TIME]
            found[start : start + len(part)] = [score.value(totals) for totals in part]
            self.advance(len(part))
        return found

    def _interval(self, values: Array) -> tuple[float, float]:
        tail = (1 - self.level) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def _bootstrap(self, size: int) -> Iterator[Array]:
        """Yield, in chunks, how often each example is drawn in each resample, [R, N]."""
        for generator, count in self._chunks(size):
            drawn = generator.integers(size, size=(count, size))
            drawn += np.arange(0, count * size, size)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=count * size)
            yield counts.reshape(count, size).astype(np.float64)

    def _coins(self, size: int) -> Iterator[Array]:
        """Yield, in chunks, a 0 or a 1 for each example in each trial, [R, N]."""
        for generator, count in self._chunks(size):
            yield generator.integers(2, size=(count, size)).astype(np.float64)

    def _chunks(self, size: int) -> Iterator[tuple[np.random.Generator, int]]:
        generator = np.random.default_rng(self.seed)
        step = max(1, _CHUNK // size)
        for start in range(0, self.resamples, step):
            count = min(step, self.resamples - start)
            yield generator, count
            self.advance(count)


def _by_size(scores: Sequence[Sums]) -> dict[int, list[int]]:
    """Return the places of the scores of each number of examples."""
    places: dict[int, list[int]] = {}
    for i, score in enumerate(scores):
        places.setdefault(len(score.rows_NS), []).append(i)
    return places


def _split(totals_RS: Array, scores: Sequence[Sums]) -> list[Array]:
    """Cut totals into those of each score."""
    ends = np.cumsum([score.rows_NS.shape[1] for score in scores])[:-1]
    return np.split(totals_RS, ends, axis=1)
