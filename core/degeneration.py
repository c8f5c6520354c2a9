"""Signs of degeneration (section 3.2) in a generated text: empty, repetitive, a copy of its source."""

from itertools import pairwise


def is_empty(text: str) -> bool:
    """Tell whether a text has no word, which is what a [PAD]-only sequence decodes to."""
    return not text.split()


def repeats(text: str) -> bool:
    """Tell whether any white-space token directly follows itself."""
    return any(first == second for first, second in pairwise(text.split()))


def is_copy(text: str, source: str) -> bool:
    """Tell whether the two are equal but for case and white space; nothing copies an empty source."""
    words = source.lower().split()
    return bool(words) and text.lower().split() == words
