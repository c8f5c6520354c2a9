"""The output folders of DiffuSeq's sampling script: one ``seed*_step*.json`` file a seed, one line a row."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample


class _Row(BaseModel):
    source: str
    reference: str
    recover: str


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
    files = [_read_rows(path) for path in paths]
    for path, rows in zip(paths, files, strict=True):
        _check_alike(path, rows, paths[0], files[0])
    return [
        Sample(str(i), rows[0].source, rows[0].reference, tuple(row.recover for row in rows))
        for i, rows in enumerate(zip(*files, strict=True))
    ]


def _read_rows(path: Path) -> list[_Row]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(_Row.model_validate_json(line))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"])) or "line"
            reason = f"{place}: {error.errors()[0]['msg']}"
            raise InputError(
                f"{path}, line {number}: expected source, reference and recover in JSON ({reason})."
            ) from None
    if not rows:
        raise InputError(f"{path}, line 1: the file is empty.")
    return rows


def _check_alike(path: Path, rows: list[_Row], first_path: Path, first: list[_Row]) -> None:
    """Raise unless each row is a draw for the same source and reference as in the first file."""
    for number, (row, expected) in enumerate(zip(rows, first, strict=False), start=1):
        if (row.source, row.reference) != (expected.source, expected.reference):
            raise InputError(f"{path}, line {number}: another source or reference than in {first_path}.")
    if len(rows) != len(first):
        line = min(len(rows), len(first)) + 1
        raise InputError(f"{path}, line {line}: {len(rows)} rows here, but {len(first)} in {first_path}.")
