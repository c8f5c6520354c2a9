"""Print the final table and save it in ``report/``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from dlmone.runtime.files import write_whole

from .confidence import Resampling
from .provenance import FIRST
from .results import results
from .scoring import Row

#: Maximum line width; further columns continue below.
WIDTH = 120

#: A model at one setting, with its row at each number of calls.
_Group = tuple[str, list[Row]]


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print a line a number, and a column a model at a setting; below them those of selected candidates."""

    def line(text: str = "") -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for selector in dict.fromkeys(row.selector for row in rows):
        scored = [row for row in rows if row.selector == selector]
        names = _score_names(scored)
        headings = _headings(scored, names)
        margin = max(map(len, headings))
        cell = 1 + max(len(text) for row in scored for text in _cells(row, names))
        groups = [(title, list(group)) for title, group in groupby(scored, key=_title)]
        if selector != FIRST:
            line(f"\nOne candidate per sample, selected by {selector}:")
        for i, block in enumerate(_blocks(groups, margin, cell)):
            spans = [_span(group, cell) for group in block]
            titles = "".join(f"{title:>{span}}" for (title, _), span in zip(block, spans, strict=True))
            line("\n" * (i > 0) + f"[bold]{'':{margin}}{titles}[/]")
            for place, heading in enumerate(headings):
                numbers = (
                    "".join(f"{_cells(row, names)[place]:>{cell}}" for row in group).rjust(span)
                    for (_, group), span in zip(block, spans, strict=True)
                )
                line(f"{heading:{margin}}{''.join(numbers)}")


def _blocks(groups: Sequence[_Group], margin: int, cell: int) -> Iterator[list[_Group]]:
    """Yield groups in blocks that fit next to each other."""
    block: list[_Group] = []
    width = margin
    for group in groups:
        span = _span(group, cell)
        if block and width + span > WIDTH:
            yield block
            block, width = [], margin
        block.append(group)
        width += span
    yield block


def _span(group: _Group, cell: int) -> int:
    title, rows = group
    return max(len(title) + 1, cell * len(rows))


def write_report(
    folder: Path, rows: Sequence[Row], examples: int, candidates: int, notes: Sequence[str] = ()
) -> None:
    """Write ``results.json``, and ``table.md`` with every score's definition and notes on the examples."""
    found = results(rows, Resampling())
    write_whole(folder / "results.json", found.text())
    names = _score_names(rows)
    headings = ["", *_headings(rows, names)]
    lines = [headings, ["---"] * len(headings), *([row.title, *_cells(row, names)] for row in rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    text += f"\n\n{examples} examples, {candidates} candidates each."
    text += "".join(f"\n\nNote: {note}." for note in notes)
    text += "\n\nDefinitions:\n\n"
    # A score of selected candidates reads fewer candidates, so its definition differs: list both.
    definitions = dict.fromkeys(
        (name, row.definition(name)) for name in names for row in found.rows if name in row.scores
    )
    text += "\n".join(f"- `{name}`: `{definition}`" for name, definition in definitions)
    text += "\n\nA signature is a definition and then, after a `|`, its row's samples:\n\n"
    text += "\n".join(f"- {row.title}: `{row.origin}`" for row in rows)
    write_whole(folder / "table.md", text + "\n")


def _score_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(score.name for row in rows for score in row.scores))


def _label(rows: Sequence[Row], name: str) -> str:
    arrows = {"higher": " ↑", "lower": " ↓", "neither": ""}
    direction = next(score.direction for row in rows for score in row.scores if score.name == name)
    return name + arrows[direction]


def _headings(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    return ["NFE", "ms/sample", *(_label(rows, name) for name in names)]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    values = {score.name: f"{score.value:.3f}" for score in row.scores}
    cost = "" if row.milliseconds is None else f"{row.milliseconds:.{1 if row.milliseconds < 100 else 0}f}"
    return [str(row.calls or ""), cost, *(values.get(name, "") for name in names)]


def _title(row: Row) -> str:
    """Return the heading of a row's column, without what all columns of its kind share."""
    if row.setting and row.setting.variant and row.setting.role == "student":
        return row.setting.variant
    return row.name.removeprefix("student, ")
