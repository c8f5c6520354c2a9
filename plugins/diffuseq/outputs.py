"""Outputs of DiffuSeq's sampling script: a file a seed, ``{"source", "reference", "recover"}`` a line.

Texts keep their markers: evaluators clean them as the official script does, and its average length counts
the spaces beside the markers.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dlmone.core import InputError, Sample
from dlmone.registry import ForeignSamples, SampleReader
from dlmone.registry.explain import mistakes

PATTERN = "seed*_step*.json"


class _Row(BaseModel):
    source: str
    reference: str
    recover: str


class DiffuSeqReader(SampleReader):
    """A sample a row, its id the row's index, with one candidate a file."""

    label = f"DiffuSeq outputs ({PATTERN})"

    def find(self, path: Path) -> list[Path]:
        """Return a folder's output files by name, or the file itself if its first line is a row."""
        if path.is_dir():
            return sorted(path.glob(PATTERN))
        with path.open("rb") as file:
            return [path] if b'"recover"' in file.readline() else []

    def read(self, files: Sequence[Path]) -> ForeignSamples:
        """Return the rows with their candidates in the order of the files.

        Raises:
            InputError: a line is no row, the files hold different rows, or a file holds its rows twice.
        """
        rows_of = [_rows(path) for path in files]
        for path, rows in zip(files, rows_of, strict=True):
            _check_same_rows(path, rows, files[0], rows_of[0])
            _check_not_appended(path, rows)
        samples = [
            Sample(str(i), rows[0].source, rows[0].reference, tuple(row.recover for row in rows))
            for i, rows in enumerate(zip(*rows_of, strict=True))
        ]
        seeds = [int(seed[1]) for path in files if (seed := re.match(r"seed(\d+)_", path.name))]
        return ForeignSamples(samples, tuple(seeds) if len(seeds) == len(files) else None)


def _rows(path: Path) -> list[_Row]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(_Row.model_validate_json(line))
        except ValidationError as error:
            reason = mistakes(error).partition("; ")[0]
            expected = f"expected source, reference and recover in JSON ({reason})"
            raise InputError(f"{path}, line {number}: {expected}.") from None
    if not rows:
        raise InputError(f"{path}, line 1: the file is empty.")
    return rows


def _check_same_rows(path: Path, rows: list[_Row], first_path: Path, first: list[_Row]) -> None:
    """Raise unless each row is a candidate for the same source and reference as in the first file."""
    for number, (row, expected) in enumerate(zip(rows, first, strict=False), start=1):
        if (row.source, row.reference) != (expected.source, expected.reference):
            raise InputError(f"{path}, line {number}: another source or reference than in {first_path}.")
    if len(rows) != len(first):
        line = min(len(rows), len(first)) + 1
        raise InputError(f"{path}, line {line}: {len(rows)} rows here, but {len(first)} in {first_path}.")


def _check_not_appended(path: Path, rows: list[_Row]) -> None:
    """Raise if a file holds its rows twice: DiffuSeq's script appends to a file that exists."""
    half = len(rows) // 2
    examples = [(row.source, row.reference) for row in rows]
    if len(set(examples[:half])) > 1 and examples[:half] == examples[half:]:
        raise InputError(f"{path}, line {half + 1}: from here on all rows come again (was a run appended?).")
