"""Draw a grid: scores against network calls, and validation at the trained calls against training cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone.report import measures
from dlmone.report.figures.drawing import COLOURS, MARKERS, Picture, legend

from .results import GridResults, GridRowResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Further colours that stay apart from `COLOURS`, whose black is the teacher's.
ROW_COLOURS = (*COLOURS[:-1], "#8C564B", "#6A3D9A", "#7F8F1A", "#A50026", "#44AA99")
ROW_MARKERS = (*MARKERS, "<", ">", "h", "d")
TEACHER: dict[str, Any] = {"color": "#000000", "linestyle": "--", "marker": "x", "markersize": 5}
#: How much of the way from one number of calls to the next the rows at one number take up, side by side.
SPREAD = 0.6


def draw(found: GridResults) -> Picture | None:
    """Draw a grid within `dlmone.report.figures.drawing.style`; None without finished rows.

    Each of up to two scores, one of quality and one of diversity, has two panels: on test examples against
    network calls, with the t interval over seeds, and on validation examples against the passes of training.
    """
    from matplotlib.figure import Figure

    rows = [row for row in found.rows if row.scores]
    scored = {
        name: measures.Measure(one.direction, one.measures)
        for name, one in found.scores.items()
        if any(name in means for row in rows for means in row.scores.values())
    }
    chosen = dict.fromkeys((measures.quality(scored), measures.diversity(scored)))
    shown = [name for name in chosen if name] or measures.drawn(scored)[:1]
    if not shown:
        return None
    looks = {row.name: _look(place) for place, row in enumerate(found.rows)}
    figure = Figure(figsize=(11, 3.6 * len(shown) + 0.9))
    figure.set_layout_engine("constrained", hspace=0.06)
    panels = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(1.35, 1))
    for (left, right), name in zip(panels, shown, strict=True):
        _against_calls(left, found.teacher, rows, name, looks)
        _against_cost(right, rows, name, looks)
        for axis, split in ((left, "test"), (right, "validation")):
            axis.set_title(f"{split}: {measures.heading(name, scored[name])}")
    entries = [("teacher", TEACHER)] if found.teacher else []
    legend(figure, [*entries, *((_label(row), looks[row.name]) for row in rows)])
    title = "Scores against network calls, and against the cost of training"
    return Picture("grid", title, _alt(rows, shown[0]), figure)


def _look(place: int) -> dict[str, Any]:
    return {
        "color": ROW_COLOURS[place % len(ROW_COLOURS)],
        "marker": ROW_MARKERS[place % len(ROW_MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.3,
    }


def _label(row: GridRowResult) -> str:
    return f"{row.name}, {row.chosen}" if row.chosen else row.name


def _against_calls(
    axis: Axes,
    teacher: Mapping[int, Mapping[str, float]],
    rows: Sequence[GridRowResult],
    name: str,
    looks: Mapping[str, dict[str, Any]],
) -> None:
    known = {calls: scores[name] for calls, scores in sorted(teacher.items()) if name in scores}
    counts = sorted({*known, *(calls for row in rows for calls in row.scores)})
    axis.plot([counts.index(calls) for calls in known], list(known.values()), zorder=1, **TEACHER)
    for place, row in enumerate(rows):
        means = {calls: scores[name] for calls, scores in row.scores.items() if name in scores}
        ends = [one.interval or (one.mean, one.mean) for one in means.values()]
        values = [one.mean for one in means.values()]
        lengths = [
            [value - low for value, (low, _) in zip(values, ends, strict=True)],
            [high - value for value, (_, high) in zip(values, ends, strict=True)],
        ]
        shift = SPREAD * ((place + 0.5) / len(rows) - 0.5)
        at = [counts.index(calls) + shift for calls in means]
        axis.errorbar(at, values, lengths, elinewidth=0.8, capsize=1.5, **looks[row.name])
    axis.set_xlabel("network calls per sample")
    axis.set_xticks(range(len(counts)), [f"{calls:,}" for calls in counts])
    axis.grid(visible=False, axis="x")
    _within_unit(axis, [*known.values(), *(one[name].mean for row in rows for one in row.scores.values())])


def _against_cost(
    axis: Axes, rows: Sequence[GridRowResult], name: str, looks: Mapping[str, dict[str, Any]]
) -> None:
    """Draw means over seeds; their intervals would cover one another."""
    for row in rows:
        by_cost: dict[float, list[float]] = {}
        for point in row.curve:
            if name in point.scores:
                by_cost.setdefault(point.passes, []).append(point.scores[name])
        axis.plot(list(by_cost), [fmean(values) for values in by_cost.values()], **looks[row.name])
    calls = " or ".join(map(str, sorted({row.calls for row in rows})))
    axis.set_xlabel(f"passes of training (sampled in {calls} network call{'s' * (calls != '1')})")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _within_unit(axis: Axes, values: Sequence[float]) -> None:
    """Keep wide intervals from flattening the panel: scores that are shares end near 0 and 1."""
    if values and min(values) >= 0 and max(values) <= 1:
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, -0.03), min(high, 1.03))


def _alt(rows: Sequence[GridRowResult], name: str) -> str:
    parts = []
    for row in rows:
        values = [f"{one[name].mean:.3f} at {calls}" for calls, one in row.scores.items() if name in one]
        parts.append(f"{row.name}: {', '.join(values)}")
    return f"{name} by network calls. " + "; ".join(parts)
