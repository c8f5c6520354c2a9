"""Read sample files: dlmone's own, and those for which a plugin has a reader.

dlmone's have one line per sample, ``{"id", "source", "reference", "candidates", "provenance", "read_as"}``;
the last two are optional. ``read_as`` is what the model read of the source, if that differs, and is scored.
Files that could not be scored correctly are refused, with file and line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field, ValidationError

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample
from dlmone.registry import Registry
from dlmone.registry.contracts.sample_reader import SampleReader
from dlmone.registry.explain import mistakes, nearest_path
from dlmone.runtime.parsing import parse_json

from .provenance import UNKNOWN, Provenance

PATTERN = "*.jsonl"
#: How each line of a file of samples begins.
_BEGINNING = b'{"id": "'


class SampleSet(NamedTuple):
    """Samples of one system, each with the same number of candidates, and their provenance."""

    samples: list[Sample]
    provenance: Provenance


class _Line(BaseModel):
    id: str
    source: str
    reference: str
    candidates: tuple[str, ...] = Field(min_length=1)
    provenance: Provenance = UNKNOWN
    read_as: str | None = None


def sample_readers(registry: Registry) -> list[SampleReader]:
    """Return the installed readers of other tools' files.

    Raises:
        PluginError: one cannot be loaded, or two plugins claim its name.
    """
    kind = "sample_readers"
    return [registry.load(kind, name)() for name in registry.names(kind)]


def read_samples(path: Path, readers: Sequence[SampleReader] = ()) -> SampleSet:
    """Return the samples of one system: a file, or a folder of files of one kind.

    In a folder each file holds more candidates for the same examples; dlmone's are matched by id.

    Args:
        path: the file or folder.
        readers: for files that are not dlmone's.

    Raises:
        InputError: there is no such file, its kind is unknown, a line is malformed, or the files do not
            belong together.
    """
    if path.is_dir():
        return _read_folder(path, readers)
    if not path.is_file():
        raise InputError(f"{path}: there is no such sample file{nearest_path(str(path))}")
    with path.open("rb") as file:
        is_own = b'"candidates"' in file.readline()
    if not is_own:
        for reader in readers:
            if files := reader.find(path):
                return _foreign(reader, files)
    return _read_file(path)


def read_partial(path: Path) -> tuple[SampleSet, list[str], int]:
    """Return the samples of an incomplete dlmone file, their sources as given, and their size in bytes.

    An unterminated last line is skipped, as it may be incomplete. Unlike with `read_samples`, there may be
    no samples.

    Raises:
        InputError: the file is not dlmone's, or a complete line is not a sample.
    """
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole and not _begins_a_sample(content):
        raise InputError(f"{path}: not a file of samples that dlmone began, so it stays as it is")
    rows = _lines(path, whole) if whole else []
    found = _system(path, rows) if rows else SampleSet([], UNKNOWN)
    return found, [row.source for row in rows], len(whole)


def _begins_a_sample(text: bytes) -> bool:
    """Whether a text can be the beginning of a line of samples, torn off before its end."""
    if not (text.startswith(_BEGINNING) or _BEGINNING.startswith(text)):
        return False
    try:
        row = parse_json(text)
    except ValueError:
        return True
    return isinstance(row, dict) and "candidates" in row


def _read_folder(folder: Path, readers: Sequence[SampleReader]) -> SampleSet:
    if (folder / "recipe.toml").is_file():
        samples = folder / "samples"
        there = f"name the files in {samples}, a system each" if samples.is_dir() else "it has no samples yet"
        raise InputError(f"{folder}: a run directory, where samples were expected; {there}.")
    own = sorted(folder.glob(PATTERN))
    foreign = [(reader, files) for reader in readers if (files := reader.find(folder))]
    firsts = [*own[:1], *(files[0] for _, files in foreign)]
    if len(firsts) > 1:
        raise InputError(f"{folder} holds files of two kinds, {firsts[0].name} and {firsts[1].name}.")
    if own:
        return _join(folder, [(file, _read_file(file)) for file in own])
    if foreign:
        return _foreign(*foreign[0])
    kinds = [*(reader.label for reader in readers), f"samples of dlmone's ({PATTERN})"]
    raise InputError(f"{folder} has no {', nor '.join(kinds)}.")


def _foreign(reader: SampleReader, files: Sequence[Path]) -> SampleSet:
    found = reader.read(files)
    return SampleSet(found.samples, Provenance(seeds=found.seeds))


def _read_file(path: Path) -> SampleSet:
    return _system(path, _lines(path, path.read_bytes()))


def _system(path: Path, rows: Sequence[_Line]) -> SampleSet:
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
            raise InputError(
                f"{place}: generated differently from line 1 ({what}); a file must hold one system."
            )
    samples = [
        Sample(row.id, row.source if row.read_as is None else row.read_as, row.reference, row.candidates)
        for row in rows
    ]
    return SampleSet(samples, rows[0].provenance)


def _lines(path: Path, content: bytes) -> list[_Line]:
    rows = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            rows.append(_Line.model_validate(parse_json(line)))
        except ValueError as error:
            reason = mistakes(error) if isinstance(error, ValidationError) else str(error)
            reason = reason.partition("; ")[0]
            expected = f"expected id, source, reference and candidates in JSON ({reason})"
            raise InputError(f"{path}, line {number}: {expected}.") from None
    if not rows:
        raise InputError(f"{path}, line 1: the file is empty.")
    return rows


def _join(folder: Path, files: Sequence[tuple[Path, SampleSet]]) -> SampleSet:
    """Return one system's samples from several files, in the order of the first one."""
    (first_path, first), *others = files
    if not others:
        return first
    advice = f"name the files that are to be compared ({folder / PATTERN})"
    for path, found in files:
        if None in (found.provenance.model, found.provenance.seeds):
            what = "does not record its model and seed, so it cannot be joined with the others"
            raise InputError(f"{path} {what} in its folder: {advice}.")
        if what := found.provenance.differs(first.provenance, besides=("seeds",)):
            raise InputError(f"{path} is of another system than {first_path} ({what}): {advice}.")
    seeds = [seed for _, found in files for seed in found.provenance.seeds or ()]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"{folder}: two of its files have one seed, so they hold the same candidates.")
    parts = [{sample.id: sample for sample in found.samples} for _, found in files]
    for (path, _), part in zip(files, parts, strict=True):
        _check_same_examples(path, part, first_path, parts[0])
    samples = [
        Sample(id, one.source, one.reference, tuple(c for part in parts for c in part[id].candidates))
        for id, one in parts[0].items()
    ]
    return SampleSet(samples, first.provenance.model_copy(update={"seeds": tuple(seeds)}))


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
