"""Texts from anywhere as examples to write for, and in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from dlmone.core.data import Example
from dlmone.core.errors import InputError


def example(id: str, source: str, reference: str = "") -> Example:
    """Return an example of texts that can hold anything."""
    return Example(well_formed(id), well_formed(source), well_formed(reference))


def examples_of(texts: Iterable[str], ids: Sequence[str] | None = None) -> list[Example]:
    """Return an example a text, whose id is its number from 0 where none are given.

    Raises:
        InputError: what is given is one text, not several, or there are not as many ids.
    """
    if isinstance(texts, str):
        raise InputError("expected several texts, as in [text], and not one string")
    sources = list(texts)
    names = [str(number) for number in range(len(sources))] if ids is None else [str(id) for id in ids]
    if len(names) != len(sources):
        raise InputError(f"there are {len(names)} ids for {len(sources)} texts")
    return [example(name, source) for name, source in zip(names, sources, strict=True)]


def batches(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Cut examples, as they come, into batches of at most ``size``."""
    rest = iter(examples)
    while part := list(islice(rest, size)):
        yield part


def well_formed(text: str) -> str:
    """Return a text with U+FFFD for each half of a surrogate pair that stands alone.

    A byte that was no UTF-8 becomes one on the command line, and so does a cut escape in JSON; no tokenizer
    takes them, and no file can hold them.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
