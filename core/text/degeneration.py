"""Signs of degeneration (section 3.2) in a generated text: empty, repetitive, a copy of its source."""

from collections.abc import Sequence
from itertools import pairwise


def is_empty(text: str) -> bool:
    """Tell whether a text has no word, which is what a [PAD]-only sequence decodes to."""
    return not text.split()


def repeats(text: str) -> bool:
    """Tell whether any white-space token directly follows itself."""
    return any(first == second for first, second in pairwise(text.split()))


def unknown_share(texts: Sequence[str], unknown: str | None) -> float:
    """Return the share of words in texts that hold the token ``unknown``; 0 if there is no such token."""
    words = [word for text in texts for word in text.split()]
    return sum(unknown in word for word in words) / max(len(words), 1) if unknown else 0.0


def is_copy(text: str, source: str) -> bool:
    """Tell whether the two are equal but for case and white space; nothing copies an empty source."""
    words = source.lower().split()
    return bool(words) and text.lower().split() == words
