"""Choosing one of several candidates, for each number of candidates that there may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Evaluator, PairMetric, Sample
from dlmone.core.selection import Selector

from .scoring import Row, drawn, judged_row


def choices(
    samples: Sequence[Sample], selector: Selector, metric: Evaluator | None, sizes: Sequence[int] | None
) -> dict[int, list[int]]:
    """Return the index of the candidate that a selector chooses of each sample, by how many it may see.

    Args:
        samples: with K candidates each.
        selector: who chooses.
        metric: the evaluator that its ``utility`` names.
        sizes: the numbers of candidates that are asked for; 1 to K if None.

    Raises:
        InputError: there are fewer candidates, or the metric does not compare texts.
    """
    count = drawn(samples)
    if too_many := [size for size in sizes or () if size > count]:
        raise InputError(f"--k {too_many[0]}: there are {count} candidates a sample")
    if metric is not None and not isinstance(metric, PairMetric):
        raise InputError(f"{selector.utility} compares no two texts, so no candidate can be chosen by it")
    picks_NK = selector.select(samples, metric)
    return {size: picks_NK[:, size - 1].tolist() for size in sizes or range(1, count + 1)}


def score_selected(
    row: Row, picks: Mapping[str, Sequence[int]], evaluators: Mapping[str, Evaluator]
) -> Iterator[Row]:
    """Yield a row for each choice of one candidate a sample, scored as if it alone had been drawn.

    Args:
        row: what is chosen from.
        picks: the index of the chosen candidate of each sample, by the selector's description.
        evaluators: those that need more than one candidate judge the set, not the choice: they are left out.
    """
    for selector, choice in picks.items():
        chosen = [
            replace(sample, candidates=(sample.candidates[index],))
            for sample, index in zip(row.samples, choice, strict=True)
        ]
        yield judged_row(replace(row, samples=chosen, selector=selector, milliseconds=None), evaluators)
