"""Measure degeneration that overlap metrics can miss: copied, empty and repetitive outputs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from dlmone.core.text.degeneration import is_copy, is_empty, repeats
from dlmone.core.text.evaluator import Sample, Score
from dlmone.plugins.text.words import repeats_itself, words_of

from .options import HealthOptions
from .rouge import rouge_ls
from .scoring import PlainEvaluator, SpacedEvaluator, checked, mean_score
from .strings import UNKNOWN

#: The overlap from which an output is a near copy of its source.
NEAR = 0.9


class CopyRateEvaluator(PlainEvaluator):
    """The shares of outputs that equal their source, and that nearly do. Copying every source scores 1.

    A near copy has the words of its source but for a few: the F1 of their longest common subsequence is at
    least `NEAR`. Case and punctuation don't count; of scripts without spaces each letter is a word.
    """

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Compare the first candidate of each sample with its source."""
        ready = checked(samples, "copy_rate")
        outputs, sources = [s.candidates[0] for s in ready], [s.source for s in ready]
        copies = [is_copy(*pair) for pair in zip(outputs, sources, strict=True)]
        overlaps = rouge_ls(outputs, sources, lambda text: words_of(text.lower()))
        near = [copy or overlap >= NEAR for copy, overlap in zip(copies, overlaps, strict=True)]
        return [
            _sign("copy_rate", copies, "lower", case="lower"),
            mean_score(
                "near_copy_rate", near, "lower", measures="health", family="dlmone", tok="unicode", f1=NEAR
            ),
        ]

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return None: any text is compared."""
        return None


class HealthEvaluator(SpacedEvaluator):
    """The rates of empty and of repetitive outputs and of unknown words, and the mean number of words."""

    def __init__(self, options: HealthOptions) -> None:
        self.tokenize = options.tokenize
        spaced = options.tokenize == "whitespace"
        self._split: Callable[[str], list[str]] = str.split if spaced else words_of
        self._repeats = repeats if spaced else repeats_itself

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return that the texts have no spaces, where words are split at them."""
        return super().blind_to(texts) if self.tokenize == "whitespace" else None

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample; a candidate of [PAD] only is empty."""
        outputs = [s.candidates[0] for s in checked(samples, "health")]
        words = [len(self._split(output)) for output in outputs]
        empty = [is_empty(output) for output in outputs]
        repetitive = [self._repeats(output) for output in outputs]
        counted = zip(outputs, words, strict=True)
        unknown = [min(len(UNKNOWN.findall(output)) / max(count, 1), 1.0) for output, count in counted]
        return [
            _sign("empty_rate", empty, "lower", self.tokenize),
            _sign("repetition_rate", repetitive, "lower", self.tokenize),
            _sign("unknown_rate", unknown, "lower", self.tokenize),
            _sign("mean_words", words, "neither", self.tokenize),
        ]


def _sign(
    name: str,
    values: Sequence[float],
    direction: Literal["lower", "neither"],
    tokenize: str = "whitespace",
    **case: Any,
) -> Score:
    return mean_score(name, values, direction, measures="health", family="dlmone", **case, tok=tokenize)
