"""The data source `jsonl`: DiffuSeq's own format, one `{"src": ..., "trg": ...}` a line."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from dlmone.core.data import DataSource, Example, Split
from dlmone.core.errors import InputError

from .options import JsonlOptions


class JsonlSource(DataSource):
    """A folder of ``train``, ``valid`` and ``test``, each ``.jsonl`` or ``.jsonl.gz`` (the first, if both).

    Texts are stripped, as in DiffuSeq. Keys other than ``src`` and ``trg`` are ignored.
    """

    def __init__(self, options: JsonlOptions) -> None:
        self.options = options
        self.folder = options.path.expanduser()

    def split(self, name: Split) -> Sequence[Example]:
        path = self._file(name)
        limit: int | None = getattr(self.options, f"{name}_limit")
        pairs = islice(_read(path), limit)
        examples = [Example(f"{name}-{row}", *pair) for row, pair in enumerate(pairs)]
        if not examples:
            raise InputError(f"{path} is empty.")
        return examples

    def _file(self, name: Split) -> Path:
        if not self.folder.is_dir():
            raise InputError(f"The data folder {self.folder} does not exist.")
        for file in (f"{name}.jsonl", f"{name}.jsonl.gz"):
            if (self.folder / file).is_file():
                return self.folder / file
        raise InputError(f"{self.folder} has neither {name}.jsonl nor {name}.jsonl.gz.")


def _read(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with _open(path) as file:
            for number, line in _without_blank_end(file):
                yield _parse(line, f"{path}, line {number}")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _without_blank_end(lines: IO[str]) -> Iterator[tuple[int, str]]:
    """Lines numbered from 1, less the blank ones at the end; the parser refuses those before a row."""
    blank: list[tuple[int, str]] = []
    for numbered in enumerate(lines, start=1):
        blank.append(numbered)
        if numbered[1].strip():
            yield from blank
            blank.clear()


def _parse(line: str, place: str) -> tuple[str, str]:
    try:
        row = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: malformed JSON at column {error.colno} ({error.msg}).") from error
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected a JSON object, found {type(row).__name__}.")
    return _text(row, "src", place), _text(row, "trg", place)


def _text(row: dict[str, object], key: str, place: str) -> str:
    if key not in row:
        raise InputError(f'{place}: the key "{key}" is missing.')
    value = row[key]
    if not isinstance(value, str):
        raise InputError(f'{place}: "{key}" must be a string, found {type(value).__name__}.')
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f'{place}: "{key}" holds half of a surrogate pair, which is no character.')
    return value.strip()
