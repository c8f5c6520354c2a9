"""The corpus: every line that takes one word of each column, such as ``pale clouds gather``."""

from hashlib import blake2b
from importlib.resources import files
from itertools import product

#: Adjectives, nouns and verbs: the words that may come first, second and third.
COLUMNS = [row.split() for row in files("flowchars").joinpath("words.txt").read_text().splitlines()]
WORDS = frozenset(word for column in COLUMNS for word in column)


def lines() -> list[str]:
    """Return all lines in an order that looks random and never changes: that of their hashes."""
    return sorted(map(" ".join, product(*COLUMNS)), key=lambda line: blake2b(line.encode()).digest())


def is_line(text: str) -> bool:
    """Tell whether a text is one word of each column, in order."""
    words = text.split()
    fits = (word in column for word, column in zip(words, COLUMNS, strict=False))
    return len(words) == len(COLUMNS) and all(fits)
