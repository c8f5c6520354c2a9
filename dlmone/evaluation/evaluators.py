"""Run evaluators over samples, and look at what they return."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import get_args, get_type_hints

from dlmone.core import Evaluator, InputError, Sample, Score
from dlmone.core.contract import require
from dlmone.core.text.degeneration import is_copy, is_empty, repeats, unknown_share

_log = logging.getLogger(__name__)
#: What a score's fields may say.
WORDS = {field: get_args(get_type_hints(Score)[field]) for field in ("direction", "measures")}


def score_samples(samples: Sequence[Sample], evaluators: Mapping[str, Evaluator]) -> list[Score]:
    """Run the evaluators for which the samples have enough candidates.

    Raises:
        InputError: two of them give scores of one name.
    """
    return [score for score, _ in iter_scores(samples, evaluators)]


def iter_scores(
    samples: Sequence[Sample], evaluators: Mapping[str, Evaluator]
) -> Iterator[tuple[Score, Evaluator]]:
    """Yield what `score_samples` returns, each score with the evaluator that gave it."""
    drawn = min(len(sample.candidates) for sample in samples)
    owners: dict[str, str] = {}
    for name, evaluator in evaluators.items():
        if evaluator.candidates > drawn:
            continue
        started = time.perf_counter()
        scores = evaluator.evaluate(samples)
        _log.info("%s of %d samples took %.2f s", name, len(samples), time.perf_counter() - started)
        listed = isinstance(scores, Sequence) and all(isinstance(one, Score) for one in scores)
        require(listed, evaluator, "evaluate", "a list of Score", scores)
        for score in scores:
            is_number = isinstance(score.value, (int, float)) and not isinstance(score.value, bool)
            require(is_number, evaluator, "evaluate", f"a number as {score.name}", score.value)
            for field, known in WORDS.items():
                word = getattr(score, field)
                what = f"one of {', '.join(known)} as the {field} of {score.name}"
                require(word in known, evaluator, "evaluate", what, word)
            if score.per_sample is not None and len(score.per_sample) != len(samples):
                what = f"one value per sample, {len(samples)}, as {score.name}"
                require(False, evaluator, "evaluate", what, score.per_sample)
            if (owner := owners.setdefault(score.name, name)) != name:
                raise InputError(f"the metrics {owner} and {name} both give a score {score.name!r}: drop one")
            yield score, evaluator


def health(samples: Sequence[Sample], unknown: str | None = None) -> dict[str, float]:
    """Return signs of degeneration of first candidates.

    These are the shares of empty, repetitive and copied ones, their mean length in words, and the share of
    words that hold the token ``unknown``.
    """
    firsts = [(sample.candidates[0], sample.source) for sample in samples]
    return {
        "empty": fmean(is_empty(text) for text, _ in firsts),
        "repetitive": fmean(repeats(text) for text, _ in firsts),
        "copied": fmean(is_copy(text, source) for text, source in firsts),
        "mean_length": fmean(len(text.split()) for text, _ in firsts),
        "unknown": unknown_share([text for text, _ in firsts], unknown),
    }
