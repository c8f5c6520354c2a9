"""Write a grid's results into its folder: JSON, tables, the page, and the figure."""

from __future__ import annotations

from pathlib import Path

from dlmone.report.figures.drawing import Picture, style
from dlmone.report.page import Page, Section
from dlmone.report.tables import Cell, Table

from .figure import draw
from .results import GridResults
from .table import columns, comma_separated, markdown, notes, search

PAGE, FIGURE = "report.html", "grid.png"


def write_grid(out: Path, found: GridResults) -> None:
    """Write ``results.json``, ``table.md``, ``table.csv``, ``report.html`` and ``grid.png``."""
    with style():
        picture = draw(found)
        files = {
            "results.json": found.model_dump_json(indent=1).encode(),
            "table.md": markdown(found).encode(),
            "table.csv": comma_separated(found).encode(),
            PAGE: _page(out.name, found, picture).html().encode(),
            **({FIGURE: picture.data("png")} if picture else {}),
        }
    for name, content in files.items():
        staging = out / f".{name}"
        staging.write_bytes(content)
        staging.replace(out / name)


def _page(name: str, found: GridResults, picture: Picture | None) -> Page:
    return Page(
        f"dlmone ablate: {name}",
        [],
        list(notes(found)),
        [
            Section.of("grid", picture, _table("Means over seeds", columns(found))),
            *([Section.of("search", _table("Searches", tried))] if (tried := search(found)) else []),
        ],
        {name: [facts.definition] for name, facts in found.scores.items()},
    )


def _table(caption: str, lines: list[list[str]]) -> Table:
    head, *rows = lines
    return Table(caption, head, [[Cell(text) for text in row] for row in rows])
