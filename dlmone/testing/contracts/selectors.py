"""The Selector contract: one choice for each number of candidates, made from those candidates alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dlmone.core import PairMetric, Sample, Selector

from ..claims import require


class SharedWords:
    """A `PairMetric` for trials: the share of an output's words that its reference has."""

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        pairs = zip(map(str.split, outputs), map(str.split, references), strict=True)
        return [len({*ours} & {*theirs}) / max(len({*ours}), 1) for ours, theirs in pairs]


def check_selector(selector: Selector, samples: Sequence[Sample], metric: PairMetric | None = None) -> None:
    """Check a selector against its contract.

    Args:
        selector: the one to check.
        samples: two or more, with equally many candidates, at least two.
        metric: what its ``utility`` is to name; `SharedWords` by default.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    count = len(samples[0].candidates)
    fits = len(samples) >= 2 and count >= 2 and all(len(one.candidates) == count for one in samples)
    require(fits, "check_selector takes two or more samples with equally many candidates, at least two")
    named = selector.utility is None or (isinstance(selector.utility, str) and selector.utility != "")
    require(named, f"utility must be an evaluator's name, or None, not {selector.utility!r}")
    by = None if selector.utility is None else metric or SharedWords()

    def select(samples: Sequence[Sample]) -> NDArray[np.intp]:
        picks_NK = selector.select(samples, by)
        wanted = (len(samples), len(samples[0].candidates))
        found = getattr(picks_NK, "shape", None)
        require(found == wanted, f"select() must return picks of shape {wanted}, not {found}")
        require(picks_NK.dtype.kind in "iu", f"picks must be whole numbers, not {picks_NK.dtype}")
        return picks_NK

    picks_NK = select(samples)
    within = bool(((picks_NK >= 0) & (picks_NK < np.arange(1, count + 1))).all())
    require(within, "a choice among the first k candidates must be one of them, counted from 0")
    require(np.array_equal(picks_NK, select(samples)), "the same samples gave other choices the second time")
    fewer = [replace(sample, candidates=sample.candidates[:-1]) for sample in samples]
    early = np.array_equal(picks_NK[:, :-1], select(fewer))
    require(early, "a choice among the first k candidates depends on the ones after them")
    alone = np.concatenate([select([sample]) for sample in samples])
    require(np.array_equal(picks_NK, alone), "a choice depends on the other samples")
    blind = [replace(sample, reference="") for sample in samples]
    require(np.array_equal(picks_NK, select(blind)), "a choice depends on the reference")
