"""What to generate for: texts, rows of a file or lines as they come, as examples in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.registry.rows import Flat, RowReader, suffix_of

if TYPE_CHECKING:
    from dlmone.registry import Registry

#: Names of a row's source and of its reference; the first of each are DiffuSeq's.
SOURCES = ("src", "source", "text")
TARGETS = ("trg", "target", "reference")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a file's columns, where they are not the usual ones; ``a.b`` is the value of b in column a."""

    source: str | None = None
    target: str | None = None
    id: str | None = None


#: Columns by their usual names.
ANY = Columns()
#: Bytes that are read from a stream at a time.
AT_ONCE = 1 << 16


def example(id: str, source: str, reference: str = "") -> Example:
    """Return an example of texts that can hold anything."""
    return Example(well_formed(id), well_formed(source), well_formed(reference))


def examples_of(texts: Iterable[str], ids: Sequence[str] | None = None) -> list[Example]:
    """Return an example a text, whose id is its number from 0 where none are given.

    Raises:
        InputError: what is given is one text, not several, or there are not as many ids.
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        what = "one string" if isinstance(texts, str) else type(texts).__name__
        raise InputError(f"expected several texts, as in [text], and not {what}")
    sources = list(texts)
    for number, text in enumerate(sources):
        if not isinstance(text, str):
            raise InputError(f"text {number}: expected a string, found {type(text).__name__}")
    names = [str(number) for number in range(len(sources))] if ids is None else [str(id) for id in ids]
    if len(names) != len(sources):
        raise InputError(f"there are {len(names)} ids for {len(sources)} texts")
    return [example(name, source) for name, source in zip(names, sources, strict=True)]


def examples_of_file(path: Path, registry: Registry, columns: Columns = ANY) -> list[Example]:
    """Return an example a row of a file, read as its suffix says; of an unknown one, as the default kind.

    Args:
        path: the file.
        registry: provides the readers of rows.
        columns: which columns to take.

    Raises:
        InputError: the file cannot be read, is empty, or has a row that is none; file and line are named.
        PluginError: its reader cannot be used.
    """
    kind = suffix_of(path)
    if kind not in registry.names("row_readers"):
        kind, *_ = registry.defaults("row_readers")
    rows: RowReader = registry.load("row_readers", kind)
    examples: list[Example] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows(path)):
        one = _row(Flat(row), number, place, columns)
        if (other := places.setdefault(one.id, place)) != place:
            raise InputError(f"{place}: the id {one.id!r} is that of {other.rpartition(', ')[2]} already")
        examples.append(one)
    if not examples:
        raise InputError(f"{path} is empty: there is nothing to generate for")
    return examples


def lines_as_they_come(stream: BufferedIOBase, most: int) -> Iterator[list[Example]]:
    """Yield an example a line, in batches: all that is there, up to ``most``, without waiting for more.

    So a line that comes alone is answered at once, and of many lines none waits for the last. What is not
    UTF-8 becomes U+FFFD. An example's id is the number of its line, from 0.
    """
    count = 0
    begun: list[bytes] = []
    while chunk := stream.read1(AT_ONCE):
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            begun = []
        begun.append(rest)
        for start in range(0, len(lines), most):
            part = lines[start : start + most]
            yield [_line(count + place, line) for place, line in enumerate(part)]
            count += len(part)
    if last := b"".join(begun):
        yield [_line(count, last)]


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


def _line(number: int, line: bytes) -> Example:
    return example(str(number), line.decode(errors="replace"))


def _row(row: Flat, number: int, place: str, columns: Columns) -> Example:
    source = _text(row, SOURCES, columns.source, place)
    if source is None:
        names = [columns.source] if columns.source else SOURCES
        if null := [key for key in names if key in row]:
            raise InputError(f'{place}: "{null[0]}" is null, where a text was expected')
        keys = " or ".join(f'"{key}"' for key in names)
        raise InputError(f"{place}: expected a column {keys} (there are {', '.join(row) or 'none'})")
    for named in (columns.target, columns.id):
        if named and named not in row:
            raise InputError(f'{place}: expected a column "{named}" (there are {", ".join(row) or "none"})')
    target = _text(row, TARGETS, columns.target, place)
    id = row.get(columns.id or "id")
    return example(str(number if id is None else id), source, target or "")


def _text(row: Flat, names: Sequence[str], name: str | None, place: str) -> str | None:
    """Return the text of the column ``name``, or of the first of ``names`` that there is; null is none."""
    for key in [name] if name else names:
        if (value := row.get(key)) is not None:
            if not isinstance(value, str):
                raise InputError(f'{place}: "{key}" must be a string, found {type(value).__name__}')
            return value
    return None
