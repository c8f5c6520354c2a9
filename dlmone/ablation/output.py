"""Write a grid's results into its folder."""

from __future__ import annotations

from pathlib import Path

from .results import GridResults
from .table import comma_separated, markdown


def write_grid(out: Path, found: GridResults) -> None:
    """Write ``results.json``, ``table.md`` and ``table.csv``."""
    files = {
        "results.json": found.model_dump_json(indent=1),
        "table.md": markdown(found),
        "table.csv": comma_separated(found),
    }
    for name, text in files.items():
        staging = out / f".{name}"
        staging.write_text(text, encoding="utf-8")
        staging.replace(out / name)
