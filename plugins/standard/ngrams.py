"""The n-grams of words."""

from collections.abc import Sequence


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a sentence in order: none where it has fewer than ``n`` words."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))
