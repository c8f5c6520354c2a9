"""What to generate for: texts, rows of a file or lines as they come, as examples in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.models.parsing import parse_json

#: Names of a row's source and of its reference; the first of each are DiffuSeq's.
SOURCES = ("src", "source")
TARGETS = ("trg", "target", "reference")
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
    if isinstance(texts, str):
        raise InputError("expected several texts, as in [text], and not one string")
    sources = list(texts)
    names = [str(number) for number in range(len(sources))] if ids is None else [str(id) for id in ids]
    if len(names) != len(sources):
        raise InputError(f"there are {len(names)} ids for {len(sources)} texts")
    return [example(name, source) for name, source in zip(names, sources, strict=True)]


def examples_of_file(path: Path) -> list[Example]:
    """Return an example a row.

    Raises:
        InputError: the file cannot be read, is empty, or has a line that is no row; file and line are named.
    """
    try:
        # Not splitlines(), which also cuts at characters that JSON strings may hold.
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8 at byte {error.start}") from None
    if lines == [""]:
        raise InputError(f"{path} is empty: there is nothing to generate for")
    rows = [_row(line, number, f"{path}, line {number + 1}") for number, line in enumerate(lines)]
    numbers: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if (other := numbers.setdefault(row.id, number)) != number:
            raise InputError(f"{path}, line {number}: the id {row.id!r} is that of line {other} already")
    return rows


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


def _row(line: str, number: int, place: str) -> Example:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected a JSON object, found {type(row).__name__}")
    source = _text(row, SOURCES, place)
    if source is None:
        raise InputError(f'{place}: expected a key "src" or "source"')
    return example(str(row.get("id", number)), source, _text(row, TARGETS, place) or "")


def _text(row: Mapping[str, Any], keys: tuple[str, ...], place: str) -> str | None:
    for key in keys:
        if key in row:
            if not isinstance(row[key], str):
                raise InputError(f'{place}: "{key}" must be a string, found {type(row[key]).__name__}')
            return str(row[key])
    return None
