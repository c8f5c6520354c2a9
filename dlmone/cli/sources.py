"""What a model is to write for: texts, or rows of JSON lines."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmone.core.data import Example
from dlmone.core.errors import InputError

#: Names of a row's source and of its reference; the first of each are DiffuSeq's.
SOURCES = ("src", "source")
TARGETS = ("trg", "target", "reference")


def examples_of_texts(texts: Iterable[str]) -> list[Example]:
    """Return an example a text, whose id is its number from 0."""
    return [Example(str(number), text, "") for number, text in enumerate(texts)]


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
    return [_example(line, number, f"{path}, line {number + 1}") for number, line in enumerate(lines)]


def _example(line: str, number: int, place: str) -> Example:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: malformed JSON at column {error.colno} ({error.msg})") from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected a JSON object, found {type(row).__name__}")
    source = _text(row, SOURCES, place)
    if source is None:
        raise InputError(f'{place}: expected a key "src" or "source"')
    return Example(str(row.get("id", number)), source, _text(row, TARGETS, place) or "")


def _text(row: Mapping[str, Any], keys: tuple[str, ...], place: str) -> str | None:
    for key in keys:
        if key in row:
            if not isinstance(row[key], str):
                raise InputError(f'{place}: "{key}" must be a string, found {type(row[key]).__name__}')
            return str(row[key])
    return None
