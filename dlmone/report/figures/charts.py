"""Draw the final evaluation: scores against network calls, and against candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import measures
from ..candidates import Selection
from ..reading import RunData
from ..systems import System, Systems, calls_of, compared, scores_of
from .drawing import MARKERS, Picture, legend, look, panels, runs_entries, series_entries, within_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Network calls, a score, and its interval.
Point = tuple[int, float, tuple[float, float] | None]


def calls(runs: Sequence[RunData]) -> Picture | None:
    """Draw scores against network calls, teacher and student (the paper's Figure 3)."""
    lines = [
        (place, series, line)
        for place, (_, systems) in enumerate(compared(runs))
        for series, line in _by_calls(systems, alone=len(runs) == 1)
    ]
    scored = scores_of([one for _, _, line in lines for one in line])
    shown = measures.drawn(scored)
    if not shown:
        return None
    figure, axes = panels(len(shown))
    for axis, name in zip(axes, shown, strict=True):
        for place, series, line in lines:
            points = _points(line, name)
            with_intervals(axis, points, look(place, series, len(runs)), MARKERS[series % len(MARKERS)])
        axis.margins(y=0.12)
        axis.set_title(measures.heading(name, scored[name]))
        axis.set_xlabel("network calls per sample")
        within_share(axis)
        calls_axis(axis, sorted({one.row.calls or 1 for _, _, line in lines for one in line}))
    models = {
        series: "student" if len(runs) > 1 and series == 1 else line[0].model for _, series, line in lines
    }
    labels = [models.get(series, "") for series in range(1 + max(models))]
    series_named = [entry for entry in series_entries(labels, len(runs), marked=True) if entry[0]]
    legend(figure, [*runs_entries([run.name for run in runs]), *series_named])
    return Picture("calls", "Scores against network calls", _alt_of_lines(runs, lines, shown), figure)


def candidates(runs: Sequence[RunData], selections: Mapping[str, Sequence[Selection]]) -> Picture | None:
    """Draw scores of the selected candidate against the number of candidates (the paper's Figure 2)."""
    from matplotlib.ticker import MaxNLocator

    lines = [
        (place, series, one)
        for place, (run, systems) in enumerate(compared(runs))
        for series, one in enumerate(selections.get(run.name, ()))
        if one.system.name in {kept.name for kept in systems.all}
        and (len(runs) == 1 or one.system in Systems.of(run.results).pair)
    ]
    scored = scores_of([one.system for _, _, one in lines])
    names = [name for name in measures.drawn(scored) if any(name in one.names for *_, one in lines)]
    if not names:
        return None
    looks = {
        (place, series): look(place, series, len(runs)) | {"marker": MARKERS[series % len(MARKERS)]}
        for place, series, _ in lines
    }
    figure, axes = panels(len(names))
    for axis, name in zip(axes, names, strict=True):
        for place, series, one in lines:
            values = one.values(name) if name in one.names else []
            axis.plot(range(1, len(values) + 1), values, markersize=3.5, **looks[place, series])
        axis.set_title(measures.heading(name, scored[name]))
        axis.set_xlabel("candidates to select from")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.margins(y=0.12)
        within_share(axis)
    many = len(runs) > 1
    named = [
        (f"{runs[place].name}: {one.system.name}" if many else one.system.name, looks[place, series])
        for place, series, one in lines
    ]
    legend(figure, named)
    said = "; ".join(
        f"{one.system.name}: {names[0]} from {one.values(names[0])[0]:.3f} to {one.values(names[0])[-1]:.3f}"
        for *_, one in lines
    )
    return Picture("candidates", "Scores against the number of candidates", said, figure)


def _by_calls(systems: Systems, alone: bool) -> Iterator[tuple[int, list[System]]]:
    """Yield lines of systems in order of their calls: the teacher, the last student, the others.

    Earlier stages' students are omitted where several runs share the picture.
    """
    *earlier, last = list(systems.students.values()) or [[]]
    others = [*(earlier if alone else ()), *([one] for one in systems.role("other"))]
    for series, line in enumerate([systems.role("teacher"), last, *others]):
        if line:
            yield series, sorted(line, key=lambda one: one.row.calls or 0)


def _points(line: Sequence[System], name: str) -> list[Point]:
    return [
        (one.row.calls, score.value, score.interval)
        for one in line
        if (score := one.row.scores.get(name)) and one.row.calls
    ]


def with_intervals(axis: Axes, points: Sequence[Point], looks: dict[str, Any], marker: str) -> None:
    """Draw a line of scores against network calls, with their intervals as bars."""
    if not points:
        return
    counts, values, intervals = zip(*points, strict=True)
    bounds = [interval or (value, value) for value, interval in zip(values, intervals, strict=True)]
    lengths = [
        [max(value - low, 0) for value, (low, _) in zip(values, bounds, strict=True)],
        [max(high - value, 0) for value, (_, high) in zip(values, bounds, strict=True)],
    ]
    axis.errorbar(counts, values, lengths, marker=marker, markersize=4, elinewidth=0.8, capsize=2, **looks)


def calls_axis(axis: Axes, counts: Sequence[int]) -> None:
    """Make the axis logarithmic, with ticks at the numbers of calls that occur."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_xscale("log")
    shown: list[int] = []
    for count in counts:  # skip ticks so close that they would overlap
        if not shown or count >= 1.8 * shown[-1]:
            shown.append(count)
    axis.xaxis.set_major_locator(FixedLocator(shown))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.margins(x=0.08)


def _alt_of_lines(
    runs: Sequence[RunData], lines: Sequence[tuple[int, int, list[System]]], shown: Sequence[str]
) -> str:
    parts = []
    for place, _, line in lines:
        values = ", ".join(
            f"{value:.3f} at {calls_of(one.row.calls or 0)}"
            for one in line
            if (value := one.value(shown[0])) is not None
        )
        parts.append(f"{runs[place].name + ', ' if len(runs) > 1 else ''}{line[0].model}: {values}")
    return f"Scores against network calls on a logarithmic axis. {shown[0]}: " + "; ".join(parts)
