"""The corpus: all lines of one word from each column, such as ``pale clouds gather``."""

from hashlib import blake2b
from importlib.resources import files
from itertools import product

#: Adjectives, nouns and verbs: the first, second and third word of a line.
COLUMNS = [row.split() for row in files("flowchars").joinpath("words.txt").read_text().splitlines()]
WORDS = frozenset(word for column in COLUMNS for word in column)


def lines() -> list[str]:
    """Return all lines in a fixed pseudo-random order: that of their hashes."""
    return sorted(map(" ".join, product(*COLUMNS)), key=lambda line: blake2b(line.encode()).digest())


def is_line(text: str) -> bool:
    """Tell whether a text has one word from each column, in order."""
    words = text.split()
    fits = (word in column for word, column in zip(words, COLUMNS, strict=False))
    return len(words) == len(COLUMNS) and all(fits)
