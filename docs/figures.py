"""Draw the figures of the README and of these pages: `python docs/figures.py` writes every PNG here.

Their numbers are the tables of the pages, or what runs have left in data/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from dlmone.ablation.figure import draw
from dlmone.ablation.results import GridResults
from dlmone.registry import Registry, load_recipe
from dlmone.report.figures.charts import Point, calls_axis, with_intervals
from dlmone.report.figures.curves import health, validation
from dlmone.report.figures.drawing import (
    COLOURS,
    DASHES,
    MARKERS,
    Picture,
    legend,
    look,
    panels,
    series_entries,
    style,
    within_share,
)
from dlmone.report.plugins import RunPlugins, charts_of
from dlmone.report.reading import RunData, read_runs

DOCS = Path(__file__).parent
#: What runs have left: of the grid of objectives.md, and of at_length.md's.
DATA = DOCS / "data"
RUNS = {
    "objectives": ("regression", "sid+diff_instruct", "sid+diffusion_gan", "sds"),
    "length": ("sid", "sid+diffusion_gan", "regressed", "table_5"),
}

#: A row of a table by the heads of its columns.
Row = dict[str, str]


def table(page: str, *heads: str) -> list[Row]:
    """Return the rows of the tables of a page that have all these heads."""
    rows: list[Row] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE):
        lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()]
        head, rows_of_block = lines[0], lines[2:]
        if set(heads) <= set(head):
            rows += [dict(zip(head, line, strict=True)) for line in rows_of_block]
    return rows


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]


def point(row: Row, score: str) -> Point:
    """Return the point of a row whose cells are ``VALUE`` or ``VALUE (LOW–HIGH)``."""
    value, *interval = numbers(row[score])
    return int(numbers(row["NFE"])[0]), value, (interval[0], interval[1]) if interval else None


def quick() -> Picture:
    """Teacher and student of the quick profile (results.md)."""
    rows = table("results.md", "NFE", "fidelity", "self-BLEU", "ms a sample")
    lines = {"teacher": _rows(rows, "teacher"), "student": _rows(rows, "student, stage-2")}
    title = "The quick run: scores against network calls"
    return _against_calls("quick", title, {"fidelity": "fidelity ↑", "coverage": "coverage ↑"}, lines)


def qqp() -> Picture:
    """Teacher and student of QQP on the rows that all of them answered (real_text.md)."""
    rows = [row for row in table("real_text.md", "NFE", "rows", "BLEU (95 %)") if row["rows"] == "2,500"]
    late = _rows(rows, "teacher") + _rows(rows, "teacher, until 0.9")
    lines = {"teacher, later calls until 0.9": late, "student": _rows(rows, "student")}
    scores = {"BLEU (95 %)": "BLEU ↑", "ROUGE-L (95 %)": "ROUGE-L ↑", "near copies": "near copies ↓"}
    return _against_calls("qqp", "QQP: scores against network calls", scores, lines)


def _rows(rows: Sequence[Row], model: str) -> list[Row]:
    found = [row for row in rows if row[next(iter(row))] == model]
    return sorted(found, key=lambda row: numbers(row["NFE"]))


def _against_calls(name: str, title: str, scores: dict[str, str], lines: dict[str, list[Row]]) -> Picture:
    figure, axes = panels(len(scores))
    for axis, (score, heading) in zip(axes, scores.items(), strict=True):
        drawn = [[point(row, score) for row in rows] for rows in lines.values()]
        for series, points in enumerate(drawn):
            with_intervals(axis, points, look(0, series, 1), MARKERS[series])
        axis.margins(y=0.12)
        axis.set_title(heading)
        axis.set_xlabel("network calls per sample")
        within_share(axis)
        calls_axis(axis, sorted({calls for points in drawn for calls, *_ in points}))
    legend(figure, series_entries(list(lines), 1, marked=True))
    return Picture(name, title, title, figure)


def ablations() -> Picture:
    """Validation fidelity of recipes of one stage (ablations.md)."""
    registry = Registry.discover()
    wanted = ("one_stage", "sid_fixed", "paper_constants")
    rows = table("ablations.md", "recipe", "stage", "validation fidelity by steps")
    figure, [axis] = panels(1, width=7.1, height=2.9)
    names = []
    for place, name in enumerate(wanted):
        stage = load_recipe(f"ablations/{name}", registry=registry).recipe.stages["stage-1"]
        looks = {"color": COLOURS[place], "linestyle": DASHES[place], "marker": MARKERS[place]}
        [row] = [row for row in rows if row["recipe"] == f"`{name}`"]
        values = numbers(row["validation fidelity by steps"])
        axis.plot([stage.validation.every * i for i in range(len(values))], values, markersize=3.5, **looks)
        names.append((name, looks))
    axis.set_title("validation: fidelity ↑")
    axis.set_xlabel("step")
    within_share(axis)
    legend(figure, names)
    title = "Validation fidelity by steps of three recipes"
    return Picture("ablations", title, title, figure)


def _runs(folder: str) -> list[RunData]:
    return read_runs([DATA / folder / name for name in RUNS[folder]])


def _validation(folder: str) -> Picture | None:
    return validation(_runs(folder))


def _health(folder: str) -> Picture | None:
    runs, registry = _runs(folder), Registry.discover()
    return health(runs, charts_of([RunPlugins.of(run, registry) for run in runs]))


def objectives() -> Picture | None:
    """The grid of objectives.md."""
    return draw(GridResults.model_validate_json((DATA / "objectives" / "results.json").read_bytes()))


#: Every figure by its file's name without the ending.
FIGURES: dict[str, Callable[[], Picture | None]] = {
    "ablations": ablations,
    "health": partial(_health, "objectives"),
    "length": partial(_validation, "length"),
    "length_health": partial(_health, "length"),
    "objectives": objectives,
    "qqp": qqp,
    "quick": quick,
    "validation": partial(_validation, "objectives"),
}


def draw_all() -> Iterator[tuple[Path, bytes]]:
    """Yield each figure's path and content."""
    with style():
        for name, make in FIGURES.items():
            picture = make()
            assert picture is not None, f"{name}: its data holds nothing to draw"
            yield DOCS / f"{name}.png", picture.data("png")


if __name__ == "__main__":
    for path, content in draw_all():
        path.write_bytes(content)
        print(path)
