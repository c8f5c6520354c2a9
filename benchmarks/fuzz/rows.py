"""Wrong rows: of data, of inputs and of samples, in files of all kinds and on standard input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from .case import Case
from .mutations import spoil_file


def _bad_rows(path: Path, keys: Sequence[str]) -> bool:
    """Whether a file of JSON lines has a row that lacks a text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
        rows = [json.loads(line) for line in lines]
        return any(not isinstance(row.get(key), str) for row in rows for key in keys)
    except (OSError, ValueError, RecursionError, AttributeError):
        return True


def rows(random: Random, root: Path) -> Case:
    """Rows of data, of inputs and of samples, as JSON lines, CSV, TSV, plain text and standard input."""
    which = random.choice(("data", "data", "table", "inputs", "inputs", "samples", "stdin"))
    if which == "data":
        path = root / "data" / f"{random.choice(('train', 'valid', 'test'))}.jsonl"
        what = spoil_file(random, path)
        return Case(what, [["check", "recipe.toml"]], _bad_rows(path, ("src", "trg")))
    if which == "table":
        suffix = random.choice((".csv", ".tsv", ".txt", ".csv.gz", ".parquet"))
        separator = "\t" if suffix == ".tsv" else ","
        for path in (root / "data").iterdir():
            table = [("src", "trg"), *((row["src"], row["trg"]) for row in map(json.loads, path.open()))]
            path.with_suffix(suffix).write_text("".join(separator.join(row) + "\n" for row in table))
            path.unlink()
        what = spoil_file(random, random.choice(list((root / "data").iterdir())))
        return Case(what, [["check", "recipe.toml"]], wrong=suffix in (".csv.gz", ".parquet"))
    if which == "inputs":
        what = spoil_file(random, root / "inputs.jsonl")
        bad = _bad_rows(root / "inputs.jsonl", ()) and which == "inputs"
        command = ["generate", "run/student", "-i", "inputs.jsonl", "-o", "out.jsonl", "--device", "cpu"]
        return Case(what, [command], wrong=bad)
    if which == "samples":
        path = random.choice(sorted((root / "run" / "samples").iterdir()))
        what = spoil_file(random, path)
        bad = _bad_rows(path, ("id", "source", "reference")) and not path.is_dir()
        return Case(what, [["evaluate", str(path.relative_to(root)), "--bootstrap", "10"]], wrong=bad)
    text = random.randbytes(random.randint(0, 200)) + random.choice((b"", b"\n", b"\nhow do i\n"))
    return Case(f"stdin {text[:20]!r}", [["generate", "run/student", "--device", "cpu"]], input=text)
