"""Read rows of files: JSON lines, CSV and TSV, parquet, plain text; gzip's are read through."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from dlmone.core.errors import InputError, MissingError
from dlmone.registry.explain import nearest, nearest_path
from dlmone.registry.rows import Row, RowReader, suffix_of

#: The most characters of a cell of CSV or TSV.
LONGEST = 2**31 - 1
#: Rows of a batch of parquet in memory at a time.
BATCH = 1024


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of a kind in `READERS`, with their places; of another kind, JSON lines.

    Raises:
        InputError: the file cannot be read or is malformed; the sentence names file and line.
    """
    try:
        yield from READERS.get(suffix_of(path), _json_lines)(path)
    except UnicodeDecodeError as error:
        byte = f"{error.object[error.start]:#04x}"
        raise InputError(f"{path} cannot be read: it is not UTF-8, for it holds a byte {byte}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def ended(sentence: str) -> str:
    """Return a sentence with its full stop, if it is no question."""
    return sentence if sentence.endswith("?") else sentence + "."


def require_folder(folder: Path) -> None:
    """Raise InputError if a data folder is not there, or is a file."""
    if folder.is_file():
        raise InputError(f"data.path: {folder} is a file, where the folder of the data was expected.")
    if not folder.is_dir():
        raise MissingError(ended(f"The data folder {folder} does not exist{nearest_path(str(folder))}"))


def text_of(row: Mapping[str, Any], key: str, place: str) -> str:
    """Return a text of a row, stripped.

    Raises:
        InputError: it is missing (or null), no string, or no text.
    """
    if (value := row.get(key)) is None:
        there = "" if key in row else nearest(key, map(str, row))
        raise InputError(ended(f'{place}: the key "{key}" is missing{there}'))
    if not isinstance(value, str):
        raise InputError(f'{place}: "{key}" must be a string, found {type(value).__name__}.')
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f'{place}: "{key}" holds half of a surrogate pair, which is no character.')
    return value.strip()


def _open(path: Path, newline: str | None = None) -> IO[str]:
    """Open a text file; a byte order mark at its start is no text."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
    return path.open(encoding="utf-8-sig", newline=newline)


def _without_blank_end(lines: IO[str]) -> Iterator[tuple[int, str]]:
    """Lines numbered from 1, less the blank ones at the end."""
    blank: list[tuple[int, str]] = []
    for numbered in enumerate(lines, start=1):
        blank.append(numbered)
        if numbered[1].strip():
            yield from blank
            blank.clear()


def _json_lines(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        for number, line in _without_blank_end(file):
            place = f"{path}, line {number}"
            try:
                row = json.loads(line.rstrip())
            except json.JSONDecodeError as error:
                raise InputError(f"{place}: malformed JSON at column {error.colno} ({error.msg}).") from error
            except RecursionError:
                raise InputError(f"{place}: JSON that is nested too deeply.") from None
            except ValueError:  # Python reads no whole numbers of thousands of digits
                raise InputError(f"{place}: JSON with a number of too many digits.") from None
            if not isinstance(row, dict):
                raise InputError(f"{place}: expected a JSON object, found {type(row).__name__}.")
            yield place, row


def _separated(separator: str) -> RowReader:
    def read(path: Path) -> Iterator[Row]:
        quoted = separator == ","
        # Of the whole process; the library's own is 128 kB.
        csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
        with _open(path, newline="") as file:
            reader = csv.reader(
                file,
                delimiter=separator,
                quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
                strict=True,
            )
            try:
                header = next(reader, [])
                if len(set(header)) < len(header):
                    raise InputError(f"{path}, line 1: a column has the name of another.")
                for cells in reader:
                    place = f"{path}, line {reader.line_num}"
                    if not cells:
                        continue
                    if len(cells) != len(header):
                        count = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
                        raise InputError(f"{place}: {count}, where line 1 names {len(header)} columns.")
                    yield place, dict(zip(header, cells, strict=True))
            except csv.Error as error:
                raise InputError(f"{path}, line {reader.line_num}: malformed ({error}).") from None

    return read


def _lines(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            yield f"{path}, line {number}", {"text": line.removesuffix("\n")}


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputError(f'{path}: parquet needs an extra: pip install "dlmone[data]".') from None
    try:
        file = parquet.ParquetFile(path)
        rows = (row for batch in file.iter_batches(BATCH) for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield f"{path}, row {number}", row
    except ArrowException as error:
        raise InputError(f"{path} is no parquet file ({' '.join(str(error).split())}).") from None


#: By suffix, in the order in which a folder is looked through.
READERS: dict[str, RowReader] = {
    ".jsonl": _json_lines,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
    ".txt": _lines,
}
