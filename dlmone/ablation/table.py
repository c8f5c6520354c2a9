"""Write a grid's results: the columns that are printed, Markdown, CSV, and the notes below a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from dlmone.report.measures import ARROWS

from .results import GridResults, GridRowResult, Mean

TEACHER = "teacher"


def columns(found: GridResults) -> list[list[str]]:
    """Return the lines of cells: the teacher's, then those of each row at each number of network calls."""
    names = list(found.scores)
    arrows = [f"{name}{ARROWS[found.scores[name].direction]}" for name in names]
    lines = [["row", "seeds", "NFE", *arrows, "passes", "seconds"]]
    for calls, scores in found.teacher.items():
        cells = [f"{scores[name]:.3f}" if name in scores else "" for name in names]
        lines.append([TEACHER, "", str(calls), *cells, "", ""])
    for row in found.rows:
        label = f"{row.name} ({row.chosen})" if row.chosen else row.name
        cost = [f"{row.passes:,.0f}", "" if row.seconds is None else f"{row.seconds:,.0f}"]
        if not row.scores:
            state = "failed" if row.failures else "to come"
            lines.append([label, "0", state, *([""] * len(names)), cost[0], ""])
        for place, (calls, means) in enumerate(row.scores.items()):
            cells = [_cell(means[name]) if name in means else "" for name in names]
            lines.append([label, str(len(row.seeds)), str(calls), *cells, *(cost if not place else ["", ""])])
    return lines


def notes(found: GridResults) -> Iterator[str]:
    """Yield what a reader of the table has to know: intervals, units, searches, failures."""
    interval = f"± half the width of the {100 * found.level:g} % t interval of the mean over seeds"
    yield f"{found.examples} test examples, {found.candidates} candidates each; {interval}"
    budget = f"each run trains for {found.passes:,.0f} at most" if found.passes else "by the recipe's steps"
    yield (
        "passes: one example once forward through the network is 1, with gradient to its input 2, "
        f"trained 3; {budget}. seconds: of training, measured, a mean over seeds"
    )
    for row in found.rows:
        if row.tried:
            yield f"{row.name}: {_search(row)}"
    for row in found.rows:
        for sentence in dict.fromkeys(row.failures):
            yield f"{row.name} failed: {sentence}"


def search(found: GridResults) -> list[list[str]]:
    """Return lines of cells with what each row's search tried; none without a search."""
    lines = [
        [
            row.name,
            one.name,
            one.text,
            one.metric or "",
            "selected" if one.name == row.chosen else "",
        ]
        for row in found.rows
        for one in row.tried
    ]
    return [["row", "tried", "validation", "metric", ""], *lines] if lines else []


def markdown(found: GridResults) -> str:
    """Return table and notes as Markdown."""
    head, *rest = columns(found)
    lines = [head, ["---"] * len(head), *rest]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return table + "\n\n" + "\n".join(f"- {note}" for note in notes(found)) + "\n"


def comma_separated(found: GridResults) -> str:
    """Return one line per row, number of network calls and score, with the interval's ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "chosen", "seeds", "nfe", "score", "mean", "low", "high", "passes", "seconds"])
    for calls, scores in found.teacher.items():
        writer.writerows(
            [TEACHER, "", "", calls, name, value, "", "", "", ""] for name, value in scores.items()
        )
    for row in found.rows:
        cost = [row.passes, "" if row.seconds is None else row.seconds]
        for calls, means in row.scores.items():
            for name, one in means.items():
                ends = one.interval or ("", "")
                writer.writerow([row.name, row.chosen, len(row.seeds), calls, name, one.mean, *ends, *cost])
    return text.getvalue()


def _cell(one: Mean) -> str:
    if one.interval is None:
        return f"{one.mean:.3f}"
    return f"{one.mean:.3f} ±{(one.interval[1] - one.interval[0]) / 2:.3f}"


def _search(row: GridRowResult) -> str:
    tried = ", ".join(f"{one.name} {one.text}" for one in row.tried)
    metric = next((f"{one.metric} " for one in row.tried if one.metric), "")
    chosen = f"selected {row.chosen}" if row.chosen else "none selected"
    return f"{chosen} by validation {metric}of the first seed, among {tried}"
