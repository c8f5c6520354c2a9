"""Files of samples, read: dlmone's own, and what DiffuSeq's sampling script writes.

dlmone writes a line a sample, ``{"id", "source", "reference", "candidates", "provenance"}``, the last of
which may be missing. DiffuSeq writes a folder with one ``seed*_step*.json`` a seed, a line a row,
``{"source", "reference", "recover"}``. What could only be scored wrongly is refused, with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, Field, ValidationError

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample

from .provenance import UNKNOWN, Provenance

_OFFICIAL, _OWN = "seed*_step*.json", "*.jsonl"


class Draws(NamedTuple):
    """Samples, each with equally many candidates, and how they were written."""

    samples: list[Sample]
    provenance: Provenance


class _Row(BaseModel):
    id: str
    source: str
    reference: str
    candidates: tuple[str, ...] = Field(min_length=1)
    provenance: Provenance = UNKNOWN


class _OfficialRow(BaseModel):
    source: str
    reference: str
    recover: str


_AnyRow = TypeVar("_AnyRow", _Row, _OfficialRow)


def read_samples(path: Path) -> list[Sample]:
    """Return the samples alone of `read_draws`."""
    return read_draws(path).samples


def read_draws(path: Path) -> Draws:
    """Return the samples of one system: a dlmone file, a DiffuSeq file, or a folder of either.

    In a folder each file holds more candidates for the same examples: DiffuSeq's are matched by line,
    dlmone's by id.

    Raises:
        InputError: there is no such file, it holds neither kind, a line is no row of its kind, or the files
            do not belong together.
    """
    if path.is_dir():
        if not (own := sorted(path.glob(_OWN))):
            return _read_official(_official_files(path))
        if official := sorted(path.glob(_OFFICIAL)):
            raise InputError(f"{path} holds files of two kinds, {own[0].name} and {official[0].name}.")
        return _joined(path, [(file, _read_own(file)) for file in own])
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of samples")
    with path.open("rb") as file:
        first = file.readline()
    is_official = b'"recover"' in first and b'"candidates"' not in first
    return _read_official([path]) if is_official else _read_own(path)


def read_begun(path: Path) -> tuple[Draws, int]:
    """Return the samples of a dlmone file whose writing was interrupted, and how many bytes they take.

    A last line without its end is left out: it is torn, or was about to be. Other than with `read_draws`
    there may be no samples at all.

    Raises:
        InputError: a whole line is no sample.
    """
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    return (_own_draws(path, whole) if whole else Draws([], UNKNOWN)), len(whole)


def read_official(folder: Path) -> list[Sample]:
    """Return a sample a row, with one candidate a file in the order of the sorted file names.

    Ids are the row's index. The texts keep their markers: evaluators clean them as the official script
    does, and its average length counts the spaces beside the markers.

    Raises:
        InputError: the folder has no such file, a line is no row, or the files do not hold the same rows.
    """
    return _read_official(_official_files(folder)).samples


def _official_files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob(_OFFICIAL))
    if not paths:
        raise InputError(f"{folder} has no DiffuSeq outputs ({_OFFICIAL}), nor samples of dlmone's ({_OWN}).")
    return paths


def _read_official(paths: Sequence[Path]) -> Draws:
    files = [_rows_of(path, path.read_bytes(), _OfficialRow) for path in paths]
    for path, rows in zip(paths, files, strict=True):
        _check_alike(path, rows, paths[0], files[0])
        _check_not_appended(path, rows)
    samples = [
        Sample(str(i), rows[0].source, rows[0].reference, tuple(row.recover for row in rows))
        for i, rows in enumerate(zip(*files, strict=True))
    ]
    seeds = [re.match(r"seed(\d+)_", path.name) for path in paths]
    known = tuple(int(seed[1]) for seed in seeds if seed)
    return Draws(samples, Provenance(seeds=known if len(known) == len(paths) else None))


def _read_own(path: Path) -> Draws:
    return _own_draws(path, path.read_bytes())


def _own_draws(path: Path, content: bytes) -> Draws:
    rows = _rows_of(path, content, _Row)
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        place = f"{path}, line {number}"
        if (other := lines.setdefault(row.id, number)) != number:
            raise InputError(f"{place}: the id {row.id!r} is that of line {other} already.")
        if len(row.candidates) != len(rows[0].candidates):
            counts = f"{len(row.candidates)} candidates here, but {len(rows[0].candidates)} in line 1"
            raise InputError(f"{place}: {counts}.")
        if row.provenance != rows[0].provenance:
            what = row.provenance.differs(rows[0].provenance)
            raise InputError(f"{place}: written otherwise than line 1 ({what}); a file holds one system.")
    samples = [Sample(row.id, row.source, row.reference, row.candidates) for row in rows]
    return Draws(samples, rows[0].provenance)


def _joined(folder: Path, files: Sequence[tuple[Path, Draws]]) -> Draws:
    """Return one system's draws from several files, the first one's order kept."""
    (first_path, first), *others = files
    if not others:
        return first
    advice = f"name the files that are to be compared ({folder / _OWN})"
    for path, draws in files:
        if None in (draws.provenance.model, draws.provenance.seeds):
            what = "does not say which model and seed wrote it, so it cannot be joined with the others"
            raise InputError(f"{path} {what} in its folder: {advice}.")
        if what := draws.provenance.differs(first.provenance, besides=("seeds",)):
            raise InputError(f"{path} is of another system than {first_path} ({what}): {advice}.")
    seeds = [seed for _, draws in files for seed in draws.provenance.seeds or ()]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"{folder}: two of its files have one seed, so they hold the same draws.")
    parts = [{sample.id: sample for sample in draws.samples} for _, draws in files]
    for (path, _), part in zip(files, parts, strict=True):
        _check_same_examples(path, part, first_path, parts[0])
    samples = [
        Sample(id, one.source, one.reference, tuple(c for part in parts for c in part[id].candidates))
        for id, one in parts[0].items()
    ]
    return Draws(samples, first.provenance.model_copy(update={"seeds": tuple(seeds)}))


def _rows_of(path: Path, content: bytes, kind: type[_AnyRow]) -> list[_AnyRow]:
    rows = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"])) or "line"
            reason = f"{place}: {error.errors()[0]['msg']}"
            *keys, last = (name for name, field in kind.model_fields.items() if field.is_required())
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


def _check_not_appended(path: Path, rows: list[_OfficialRow]) -> None:
    """Raise if a file holds its rows twice: DiffuSeq's script appends to a file that is there."""
    half = len(rows) // 2
    examples = [(row.source, row.reference) for row in rows]
    if len(set(examples[:half])) > 1 and examples[:half] == examples[half:]:
        raise InputError(f"{path}, line {half + 1}: from here on all rows come again (was a run appended?).")


def _check_same_examples(
    path: Path, part: dict[str, Sample], first_path: Path, first: dict[str, Sample]
) -> None:
    if lacking := first.keys() ^ part.keys():
        id = min(lacking)
        there, not_there = (first_path, path) if id in first else (path, first_path)
        raise InputError(f"{not_there} has no example {id!r}, which {there} has.")
    for id, sample in part.items():
        if (sample.source, sample.reference) != (first[id].source, first[id].reference):
            raise InputError(f"{path}: {id!r} has another source or reference than in {first_path}.")
