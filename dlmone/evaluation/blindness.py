"""Say which metrics don't see how texts are written, and what does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import chain

from dlmone.core.text.data import Example
from dlmone.core.text.evaluator import Evaluator, Sample

#: How many examples are looked at.
ENOUGH = 500


def blind(evaluators: Mapping[str, Evaluator], texts: Sequence[str]) -> dict[str, str]:
    """Return the evaluators that don't see how ``texts`` are written, each with the reason."""
    return {name: reason for name, one in evaluators.items() if (reason := one.blind_to(texts))}


def texts_of(samples: Sequence[Sample]) -> list[str]:
    """Return the texts that are given: references, and sources where there are some."""
    return [text for text in chain.from_iterable((one.reference, one.source) for one in samples) if text]


def texts_given(examples: Sequence[Example]) -> list[str]:
    """Return the texts of as many of the first examples as are enough to see how texts are written."""
    return [text for one in examples[:ENOUGH] for text in (one.target, one.source)]


def sentences(found: Mapping[str, str]) -> list[str]:
    """Return a sentence for each reason, with the names of all evaluators that it holds for."""
    named: dict[str, list[str]] = {}
    for name, reason in found.items():
        named.setdefault(reason, []).append(name)
    return [
        f"{name} may not mean what it says: {reason}"
        if not others
        else f"{', '.join((name, *others))} may not mean what they say: each {reason.removeprefix('it ')}"
        for reason, (name, *others) in named.items()
    ]


def warn_of_blindness(evaluators: Mapping[str, Evaluator], samples: Sequence[Sample]) -> dict[str, str]:
    """Warn of the evaluators that don't see how the samples' texts are written; return what `blind` does.

    One that needs more candidates than there are scores nothing, so nothing is said of it.
    """
    drawn = min((len(sample.candidates) for sample in samples), default=0)
    used = {name: one for name, one in evaluators.items() if one.candidates <= drawn}
    found = blind(used, texts_of(samples))
    for sentence in sentences(found):
        warnings.warn(sentence, stacklevel=2)
    return found
