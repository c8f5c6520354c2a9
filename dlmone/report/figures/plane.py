"""Draw the fidelity–diversity plane: every system a point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from .. import measures
from ..candidates import Selection
from ..measures import Measures
from ..reading import RunData
from ..systems import System, Systems, calls_of, compared, scores_of
from .drawing import COLOURS, GREY, MARKERS, STUDENT, TEACHER, Labels, Picture, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: A point is near if its quality is lower than a plain student's by at most this share.
_HARDLY = 0.1
#: A second panel shows at most this share of one of the first one's axes.
_MAGNIFIED = 0.7


@dataclass(frozen=True, slots=True)
class _Point:
    """A system's diversity and quality, and the quality of the selected candidate, if any."""

    x: float
    y: float
    selected: float | None
    system: System

    @property
    def label(self) -> str:
        return self.system.variant or calls_of(self.system.row.calls or 0)


@dataclass(frozen=True, slots=True)
class _Group:
    """The systems that one line joins: a model at several NFE, or one variant at several strengths."""

    name: str
    looks: dict[str, Any]
    points: list[_Point]


def plane(runs: Sequence[RunData], selections: Mapping[str, Sequence[Selection]]) -> Picture | None:
    """Draw quality against diversity; a second panel zooms in on the students."""
    scored = scores_of([one for run in runs for one in Systems.of(run.results).all])
    quality, diversity = measures.quality(scored), measures.diversity(scored)
    if quality is None or diversity is None:
        return None
    groups = [
        group
        for place, (run, systems) in enumerate(compared(runs))
        for group in _groups(
            place, run.name, systems, selections.get(run.name, ()), quality, diversity, len(runs)
        )
    ]
    points = [point for group in groups for point in group.points]
    if not points:
        return None
    near = _near(points, scored, quality)
    zoomed = 3 <= len(near) < len(points) and _magnified(_limits(near), _limits(points))
    figure, axes = panels(1 + zoomed, height=4.2, width=5.4)
    for axis, shown in zip(axes, (points, near), strict=False):
        _draw(axis, groups, _limits(shown), scored, quality, diversity)
    if zoomed:
        axes[0].set_title("all")
        axes[1].set_title("near the students")
    entries = [(group.name, group.looks) for group in groups]
    if any(point.selected is not None for point in points):
        entries.append(("selected among the candidates", {"color": GREY, "marker": "*", "linestyle": ":"}))
    legend(figure, entries)
    said = (f"{one.system.name} {measures.number(one.y)} and {measures.number(one.x)}" for one in points)
    alt = f"{quality} (up) against {diversity} (right): " + "; ".join(said)
    return Picture("plane", f"{quality} against {diversity}", alt, figure)


def _groups(
    place: int,
    run: str,
    systems: Systems,
    selections: Sequence[Selection],
    quality: str,
    diversity: str,
    runs: int,
) -> Iterator[_Group]:
    selected = dict(_selected(systems, selections, quality))
    families: dict[str, list[System]] = {}
    for one in systems.all:
        if one.role != "baseline" and not one.selected:
            families.setdefault(_family(one), []).append(one)
    own = {
        _family(one): place for place, one in ((TEACHER, systems.teacher), (STUDENT, systems.student)) if one
    }
    others = count(len((TEACHER, STUDENT)))
    for family, group in families.items():
        series = own[family] if family in own else next(others)
        points = [
            _Point(x, y, selected.get(one.name), one)
            for one in group
            if (x := one.value(diversity)) is not None and (y := one.value(quality)) is not None
        ]
        if points:
            colour = COLOURS[(place if runs > 1 else series) % len(COLOURS)]
            looks = {
                "color": colour,
                "marker": MARKERS[series % len(MARKERS)],
                "linewidth": 0.8,
                "markersize": 5,
            }
            yield _Group(f"{run}: {family}" if runs > 1 else family, looks, points)


def _family(system: System) -> str:
    setting = system.row.setting
    if setting is None or not setting.variant:
        return system.model
    means = setting.augment if setting.augment != "none" else setting.sampler
    calls = system.row.calls or 1
    several = f", {calls_of(calls)}" if calls > 1 else ""
    return f"{system.model}, {means.partition('(')[0]}{several}"


def _selected(systems: Systems, selections: Sequence[Selection], quality: str) -> Iterator[tuple[str, float]]:
    """Yield the quality of a system's selected candidate: from the table if there, else the report's."""
    for selection in selections:
        if quality in selection.names:
            yield selection.system.name, selection.values(quality)[-1]
    before: System | None = None
    for one in systems.all:
        if not one.selected:
            before = one
        elif before and (value := one.value(quality)) is not None:
            yield before.name, value


def _near(points: Sequence[_Point], scored: Measures, quality: str) -> list[_Point]:
    """Return the best teacher, and the points at most slightly worse than the plain students."""
    sign = -1 if scored[quality].direction == "lower" else 1
    plain = [point.y for point in points if point.system.role != "teacher" and not point.system.variant]
    if not plain:
        return []
    worst = min(sign * y for y in plain)
    floor = worst - _HARDLY * abs(worst)
    teachers = [point for point in points if point.system.role == "teacher"]
    best = max(teachers, key=lambda point: sign * point.y, default=None)
    return [p for p in points if p is best or (p.system.role != "teacher" and sign * p.y >= floor)]


def _limits(points: Sequence[_Point]) -> tuple[float, float, float, float]:
    xs = [point.x for point in points]
    ys = [y for point in points for y in (point.y, point.selected) if y is not None]
    across, along = max(max(xs) - min(xs), 1e-3), max(max(ys) - min(ys), 1e-3)
    return min(xs) - 0.1 * across, max(xs) + 0.15 * across, min(ys) - 0.1 * along, max(ys) + 0.1 * along


def _magnified(part: Sequence[float], whole: Sequence[float]) -> bool:
    """Tell whether a panel with the first limits shows more than one with the second."""
    across, along = ((part[high] - part[low]) / (whole[high] - whole[low]) for low, high in ((0, 1), (2, 3)))
    return min(across, along) <= _MAGNIFIED


def _draw(
    axis: Axes,
    groups: Sequence[_Group],
    limits: tuple[float, float, float, float],
    scored: Measures,
    quality: str,
    diversity: str,
) -> None:
    from matplotlib.ticker import MaxNLocator

    left, right, bottom, top = limits
    axis.set(xlim=(left, right), ylim=(bottom, top))
    axis.set_xlabel(f"diversity: {measures.heading(diversity, scored[diversity])}")
    axis.set_ylabel(f"quality: {measures.heading(quality, scored[quality])}")
    for scale, score in ((axis.xaxis, diversity), (axis.yaxis, quality)):
        scale.set_major_locator(MaxNLocator(7))
        if scored[score].direction == "lower":  # better is always to the right, or up
            scale.set_inverted(True)
    axis.annotate("better ↗", (1, 1.01), xycoords="axes fraction", ha="right", color=GREY)
    labels = Labels(axis)
    for group in groups:
        axis.plot([point.x for point in group.points], [point.y for point in group.points], **group.looks)
        for point in group.points:
            inside = left <= point.x <= right and bottom <= point.y <= top
            if inside:
                labels.add(point.x, point.y, point.label, group.looks["color"])
            if point.selected is not None and inside:
                colour = group.looks["color"]
                axis.plot(
                    [point.x, point.x], [point.y, point.selected], color=colour, linewidth=0.8, linestyle=":"
                )
                axis.plot(point.x, point.selected, "*", markersize=9, color=colour)
                labels.keep_free(point.x, point.selected)
    labels.place()
