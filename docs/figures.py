"""Draw the figures of the README and of these pages: `python docs/figures.py` writes every PNG here.

Their numbers are the tables of the pages, or what runs have left in data/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
#: What the grid of objectives.md has left.
DATA = DOCS / "data" / "objectives"
RUNS = ("regression", "sid+diff_instruct", "sid+diffusion_gan", "sds")

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
    late = _rows(rows, "teacher") + _rows(rows, "teacher, until 0.6")
    lines = {"teacher, later calls until 0.6": late, "student": _rows(rows, "student")}
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
    """Validation fidelity of the quick recipe, and of recipes of one stage (ablations.md)."""
    registry = Registry.discover()
    wanted = {"qqp": "qqp", "one_stage": "ablations/one_stage", "sid_fixed": "ablations/sid_fixed"}
    wanted |= {"paper_constants": "ablations/paper_constants"}
    rows = table("ablations.md", "recipe", "stage", "validation fidelity by steps")
    figure, [axis] = panels(1, width=7.1, height=2.9)
    names = []
    for place, (name, recipe) in enumerate(wanted.items()):
        stages = load_recipe(recipe, registry=registry).recipe.stages
        looks = {"color": COLOURS[place], "linestyle": DASHES[place], "marker": MARKERS[place]}
        start = 0
        for row in (row for row in rows if row["recipe"] == f"`{name}`"):
            stage = stages[row["stage"]] if row["stage"] in stages else stages["stage-1"]
            values = numbers(row["validation fidelity by steps"])
            steps = [min(start + stage.validation.every * i, start + stage.steps) for i in range(len(values))]
            axis.plot(steps, values, markersize=3.5, **looks)
            if start:
                axis.axvline(start, color=COLOURS[place], linestyle=":", linewidth=1)
            start += stage.steps
        names.append((name, looks))
    axis.set_title("validation: fidelity ↑")
    axis.set_xlabel("step")
    within_share(axis)
    legend(figure, names)
    title = "Validation fidelity by steps of four recipes"
    return Picture("ablations", title, title, figure)


def _runs() -> list[RunData]:
    return read_runs([DATA / name for name in RUNS])


def _validation() -> Picture | None:
    return validation(_runs())


def _health() -> Picture | None:
    runs, registry = _runs(), Registry.discover()
    return health(runs, charts_of([RunPlugins.of(run, registry) for run in runs]))


def objectives() -> Picture | None:
    """The grid of objectives.md."""
    return draw(GridResults.model_validate_json((DATA / "results.json").read_bytes()))


#: Every figure by its file's name without the ending.
FIGURES: dict[str, Callable[[], Picture | None]] = {
    "ablations": ablations,
    "health": _health,
    "objectives": objectives,
    "qqp": qqp,
    "quick": quick,
    "validation": _validation,
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
