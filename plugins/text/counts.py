"""Counts of words or tokens in a text."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import log


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text in order: none where it has fewer than ``n`` words."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def entropy(items: Sequence[Hashable]) -> float:
    """Return the entropy of the items' frequencies, nats."""
    counts = Counter(items)
    return -sum(count / len(items) * log(count / len(items)) for count in counts.values())
