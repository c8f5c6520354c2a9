"""Compare systems: name them, align their examples, and test score differences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample

from .confidence import Comparison, Resampling
from .scoring import Row


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that distinguish them."""
    parts = [path.absolute().parts for path in paths]
    length = 1
    while len({one[-length:] for one in parts}) < len(paths):
        length += 1
    return [str(Path(*one[-length:])) for one in parts]


def compare(one: Row, other: Row, resampling: Resampling) -> dict[str, Comparison]:
    """Compare the scores that two rows on the same examples share, by name."""
    names = [name for name in one.sums if name in other.sums]
    sides = ([row.sums[name] for name in names] for row in (one, other))
    return dict(zip(names, resampling.compare(*sides), strict=True))


def align_samples(
    samples: Sequence[Sample], name: str, like: Sequence[Sample], like_name: str
) -> list[Sample]:
    """Return samples in the order of another system's.

    Raises:
        InputError: the two have different examples: other ids, or other texts for an id.
    """
    by_id = {sample.id: sample for sample in samples}
    ids = {sample.id for sample in like}
    if lacking := by_id.keys() ^ ids:
        id = min(lacking)
        owner = name if id in by_id else like_name
        raise InputError(f"{name} and {like_name} cannot be compared: only {owner} has an example {id!r}")
    for sample in like:
        if _letters(by_id[sample.id]) != _letters(sample):
            what = f"{sample.id!r} has another source or reference in the one than in the other"
            raise InputError(f"{name} and {like_name} cannot be compared: {what}")
    return [by_id[sample.id] for sample in like]


def _letters(sample: Sample) -> list[str]:
    """Return what two tokenisers leave of source and reference: letters and digits, in lower case.

    Special tokens, which are capitals in brackets, are no text.
    """
    texts = (re.sub(r"\[[A-Z]+\]", "", text) for text in (sample.source, sample.reference))
    return [re.sub(r"[\W_]+", "", text).lower() for text in texts]
