"""Which columns of a row are source, target and id."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.registry.explain import shortened
from dlmone.registry.rows import Flat, Row

from .formats import text_of
from .options import Columns

#: Columns taken where none are named, the first that is there; DiffuSeq's come first.
SOURCES = ("src", "source")
TARGETS = ("trg", "target", "reference", "text")


def examples_of(rows: Iterable[Row], columns: Columns, name: str, limit: int | None) -> list[Example]:
    """Return an example a row.

    Without a source column the sources are empty: the data are text for an unconditional model. A row
    without an id is numbered.

    Args:
        rows: the rows, each with its place.
        columns: the columns that were named.
        name: the split's, with which the ids of numbered rows begin.
        limit: how many of the first rows to read.

    Raises:
        InputError: a column is missing, a value is no text, or an id comes twice.
    """
    examples: list[Example] = []
    places: dict[str, str] = {}
    source, target = columns.source, columns.target
    for number, (place, whole) in enumerate(islice(rows, limit)):
        row = Flat(whole)
        if number == 0:
            source = source or _first(row, SOURCES)
            target = target or _first(row, TARGETS)
        if target is None:
            known = f"there is no column {' or '.join(TARGETS)}; name it"
            raise InputError(f"{place}: {known} (there are {shortened(', '.join(sorted(whole))) or 'none'}).")
        if columns.id and columns.id not in row:
            there = shortened(", ".join(sorted(whole))) or "none"
            raise InputError(f"{place}: there is no column {columns.id!r} (there are {there}).")
        given = row.get(columns.id) if columns.id else None
        # An id is the data source's own, and those of two files may be the same.
        id = f"{name}-{number if given is None else given}"
        if (other := places.setdefault(id, place)) != place:
            raise InputError(f"{place}: the id {id!r} is that of {other} already.")
        text = "" if source is None else text_of(row, source, place)
        examples.append(Example(id, text, text_of(row, target, place)))
    return examples


def _first(row: Mapping[str, object], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row), None)
