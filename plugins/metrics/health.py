"""Measure degeneration that overlap metrics can miss: copied, empty and repetitive outputs."""

from collections.abc import Sequence
from typing import Any, Literal

from dlmone.core.degeneration import is_copy, is_empty, repeats
from dlmone.core.evaluator import Sample, Score

from .scoring import PlainEvaluator, checked, mean_score


class CopyRateEvaluator(PlainEvaluator):
    """The share of outputs equal to their source. Copying every source scores 1."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Compare the first candidate of each sample with its source."""
        values = [is_copy(s.candidates[0], s.source) for s in checked(samples, "copy_rate")]
        return [_sign("copy_rate", values, "lower", case="lower")]


class HealthEvaluator(PlainEvaluator):
    """The rates of empty and of repetitive outputs, and the mean number of words."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample; a candidate of [PAD] only is empty."""
        outputs = [s.candidates[0] for s in checked(samples, "health")]
        words = [len(output.split()) for output in outputs]
        empty = [is_empty(output) for output in outputs]
        repetitive = [repeats(output) for output in outputs]
        return [
            _sign("empty_rate", empty, "lower"),
            _sign("repetition_rate", repetitive, "lower"),
            _sign("mean_words", words, "neither"),
        ]


def _sign(name: str, values: Sequence[float], direction: Literal["lower", "neither"], **case: Any) -> Score:
    return mean_score(name, values, direction, measures="health", family="dlmone", **case, tok="whitespace")
