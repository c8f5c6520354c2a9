"""The checks of evaluators find each fault and say so."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dlmone.core import Evaluator, InputError, Sample, Score
from dlmone.testing import check_evaluator

from .finds import Finds

TURNS = count()
SAMPLES = [Sample("a", "s", "r", ("one", "two words", "")), Sample("b", "s", "r", ("x y z", "y", "z z"))]


class Words(Evaluator):
    """The mean number of words of first candidates; ``change(scores, samples)`` is what it returns."""

    def __init__(self, change: Callable[..., list[Score]], refuses: bool = True) -> None:
        self.change, self.refuses = change, refuses

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if self.refuses and not all([samples, *(sample.candidates for sample in samples)]):
            raise InputError("nothing to score")
        counts = tuple(float(len("".join(sample.candidates[:1]).split())) for sample in samples)
        mean = sum(counts) / max(len(counts), 1)
        return self.change([Score("words", mean, "metric:words|tok:space", "neither", counts)], samples)


def altered(**fields: Any) -> Words:
    return Words(lambda scores, _: [replace(score, **fields) for score in scores])


def test_a_right_evaluator_passes() -> None:
    check_evaluator(altered(), SAMPLES)


EVALUATORS: dict[str, Words] = {
    "returned no score": Words(lambda *_: []),
    "two scores have one name": Words(lambda scores, _: scores * 2),
    "must be a finite number": altered(value=float("nan"), per_sample=None),
    "must return one of higher, lower, neither as the direction of words": altered(direction="up"),
    "key:value fields": altered(signature="words of an output"),
    "one value per sample, 2, as words": altered(per_sample=(2.0,)),
    "but the mean of per_sample is 2.0": altered(value=3.0),
    "gave other scores the second time": Words(
        lambda scores, _: [replace(scores[0], value=next(TURNS), per_sample=None)]
    ),
    "changes with the number of candidates": Words(
        lambda scores, samples: [replace(scores[0], value=len(samples[0].candidates), per_sample=None)]
    ),
    "the order of the samples changes": Words(
        lambda scores, _: [replace(scores[0], value=scores[0].per_sample[0], per_sample=None)]
    ),
    "no samples must raise InputError": Words(lambda scores, _: scores, refuses=False),
}


@pytest.mark.parametrize("sentence", EVALUATORS)
def test_evaluators(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_evaluator(EVALUATORS[sentence], SAMPLES)


class Compared(Words):
    """`Words` that also compares pairs; ``score`` is the value of a pair among ``n``."""

    def __init__(self, score: Callable[[str, int], float]) -> None:
        super().__init__(lambda scores, _: scores)
        self.score = score

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        return [self.score(output, len(outputs)) for output in outputs]


class Summed(Words):
    """The number of words of a whole corpus, by sums: of ``rows`` samples, ``factor`` times."""

    def __init__(self, rows: int | None = None, factor: float = 1) -> None:
        self.rows, self.factor = rows, factor
        super().__init__(self._whole)

    def _whole(self, scores: list[Score], samples: Sequence[Sample]) -> list[Score]:
        return [replace(scores[0], value=scores[0].value * len(samples), per_sample=None)]

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        counts = [float(len(sample.candidates[0].split())) for sample in samples]
        return np.array(counts)[: self.rows, None]

    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        return float(totals[0]) * self.factor


def test_right_evaluators_that_do_more_pass() -> None:
    check_evaluator(Compared(lambda output, n: float(len(output))), SAMPLES)
    check_evaluator(Summed(), SAMPLES)


MORE: dict[str, Words] = {
    "one finite number a pair": Compared(lambda output, n: float("inf")),
    "another value beside other pairs": Compared(lambda output, n: n),
    "must have one row a sample": Summed(rows=1),
    "from_statistics() of the sums is 8.0, but the score is 4.0": Summed(factor=2),
}


@pytest.mark.parametrize("sentence", MORE)
def test_evaluators_that_do_more(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_evaluator(MORE[sentence], SAMPLES)
