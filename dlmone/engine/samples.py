"""Files of samples, read: dlmone's own, and what DiffuSeq's sampling script writes.

dlmone writes a line a sample, ``{"id", "source", "reference", "candidates"}``. DiffuSeq writes a folder
with one ``seed*_step*.json`` a seed, a line a row, ``{"source", "reference", "recover"}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample


class _Row(BaseModel):
    id: str
    source: str
    reference: str
    candidates: tuple[str, ...] = Field(min_length=1)


class _OfficialRow(BaseModel):
    source: str
    reference: str
    recover: str


_AnyRow = TypeVar("_AnyRow", _Row, _OfficialRow)


def read_samples(path: Path) -> list[Sample]:
    """Return the samples of a dlmone file, of one DiffuSeq file, or of a folder of these.

    Raises:
        InputError: there is no such file, it holds neither kind, or a line is no row of its kind.
    """
    if path.is_dir():
        return read_official(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of samples")
    with path.open("rb") as file:
        first = file.readline()
    if b'"recover"' in first and b'"candidates"' not in first:
        return _draws([path])
    return [Sample(**dict(row)) for row in _read_rows(path, _Row)]


def read_official(folder: Path) -> list[Sample]:
    """Return a sample a row, with one candidate a file in the order of the sorted file names.

    Ids are the row's index. The texts keep their markers: evaluators clean them as the official script
    does, and its average length counts the spaces beside the markers.

    Raises:
        InputError: the folder has no such file, a line is no row, or the files do not hold the same rows.
    """
    paths = sorted(folder.glob("seed*_step*.json"))
    if not paths:
        raise InputError(f"{folder} has no DiffuSeq outputs: expected files named seed*_step*.json.")
    return _draws(paths)


def _draws(paths: list[Path]) -> list[Sample]:
    files = [_read_rows(path, _OfficialRow) for path in paths]
    for path, rows in zip(paths, files, strict=True):
        _check_alike(path, rows, paths[0], files[0])
    return [
        Sample(str(i), rows[0].source, rows[0].reference, tuple(row.recover for row in rows))
        for i, rows in enumerate(zip(*files, strict=True))
    ]


def _read_rows(path: Path, kind: type[_AnyRow]) -> list[_AnyRow]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"])) or "line"
            reason = f"{place}: {error.errors()[0]['msg']}"
            *keys, last = kind.model_fields
            expected = f"{', '.join(keys)} and {last}"
            raise InputError(f"{path}, line {number}: expected {expected} in JSON ({reason}).") from None
    if not rows:
        raise InputError(f"{path}, line 1: the file is empty.")
    return rows


def _check_alike(path: Path, rows: list[_OfficialRow], first_path: Path, first: list[_OfficialRow]) -> None:
    """Raise unless each row is a draw for the same source and reference as in the first file."""
    for number, (row, expected) in enumerate(zip(rows, first, strict=False), start=1):
        if (row.source, row.reference) != (expected.source, expected.reference):
            raise InputError(f"{path}, line {number}: another source or reference than in {first_path}.")
    if len(rows) != len(first):
        line = min(len(rows), len(first)) + 1
        raise InputError(f"{path}, line {line}: {len(rows)} rows here, but {len(first)} in {first_path}.")
