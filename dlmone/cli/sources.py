"""What a model is to write for: lines as they come, or rows of JSON lines."""

import json
from collections.abc import Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from dlmone.core.data import Example
from dlmone.core.errors import InputError
from dlmone.generation.inputs import example

#: Names of a row's source and of its reference; the first of each are DiffuSeq's.
SOURCES = ("src", "source")
TARGETS = ("trg", "target", "reference")
#: Bytes that are read from a stream at a time.
AT_ONCE = 1 << 16


def examples_of_file(path: Path) -> list[Example]:
    """Return an example a row.

    Raises:
        InputError: the file cannot be read, is empty, or has a line that is no row; file and line are named.
    """
    try:
        # Not splitlines(), which also cuts at characters that JSON strings may hold.
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if lines == [""]:
        raise InputError(f"{path} is empty: there is nothing to write for")
    rows = [_row(line, number, f"{path}, line {number + 1}") for number, line in enumerate(lines)]
    numbers: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if (other := numbers.setdefault(row.id, number)) != number:
            raise InputError(f"{path}, line {number}: the id {row.id!r} is that of line {other} already")
    return rows


def lines_as_they_come(stream: BufferedIOBase, most: int) -> Iterator[list[Example]]:
    """Yield an example a line, in batches: all that is there, up to ``most``, without waiting for more.

    So a line that comes alone is written for at once, and of many lines none waits for the last. What is
    not UTF-8 becomes U+FFFD. An example's id is the number of its line, from 0.
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


def _line(number: int, line: bytes) -> Example:
    return example(str(number), line.decode(errors="replace"))


def _row(line: str, number: int, place: str) -> Example:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: malformed JSON at column {error.colno} ({error.msg})") from None
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
