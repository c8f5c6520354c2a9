"""Build the page's tables; the template lays them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dlmone.evaluation.results import RowResult, ScoreResult

from . import measures
from .candidates import Selection
from .outputs import Degenerate
from .reading import RunData
from .systems import System, Systems, scores_of


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, a smaller text below it, and its highlighting."""

    text: str = ""
    small: str = ""
    mark: Literal["", "best", "better", "worse", "words", "code"] = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. A row's first cell is its heading; a row with one cell heads the rows below it.

    ``left`` marks tables of words, which are left-aligned.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left: bool = False


def final(runs: Sequence[RunData]) -> Table | None:
    """Return the final evaluations without variants, with intervals (the paper's Tables 1 and 4)."""
    systems = {run.name: [one for one in Systems.of(run.results).all if not one.variant] for run in runs}
    scored = scores_of([one for group in systems.values() for one in group])
    names = measures.ordered(scored)
    rows: list[Sequence[Cell]] = []
    for run in runs:
        group = systems[run.name]
        if len(runs) > 1 and group:
            rows.append([Cell(run.name)])
        compared = [one for one in group if one.role != "baseline" and not one.selected]
        best = {name: _best(compared, name, scored[name]) for name in names}
        rows += [
            [Cell(one.name), *(_score(one.row, name, best[name]) for name in names), Cell(_milliseconds(one))]
            for one in group
        ]
    if not rows:
        return None
    head = ["", *(measures.heading(name, scored[name]) for name in names), "ms per sample ↓"]
    return Table("The final evaluation (the paper's Tables 1 and 4)", head, rows)


def timing(runs: Sequence[RunData]) -> Table | None:
    """Return the time per sample against network calls (the paper's Table 2)."""
    rows: list[Sequence[Cell]] = []
    for run in runs:
        found = Systems.of(run.results)
        measured = [
            one for one in (*found.role("teacher"), *found.last_stage) if one.row.milliseconds_per_sample
        ]
        if not measured:
            continue
        slowest = max(measured, key=lambda one: one.row.milliseconds_per_sample or 0)
        if len(runs) > 1:
            rows.append([Cell(run.name)])
        for one in measured:
            times = (slowest.row.milliseconds_per_sample or 0) / (one.row.milliseconds_per_sample or 1)
            count = one.row.calls or 1
            each = (one.row.milliseconds_per_sample or 0) / count
            cells = [
                f"{count:,}",
                _milliseconds(one),
                f"{each:.2f}",
                "" if one is slowest else f"{times:.3g} ×",
            ]
            rows.append([Cell(one.name), *map(Cell, cells)])
    head = ["", "NFE", "ms per sample", "ms per call", "speed-up over the slowest"]
    return Table("Time per sample against network calls (the paper's Table 2)", head, rows) if rows else None


def stages(runs: Sequence[RunData]) -> Table | None:
    """Return each stage's student at its lowest NFE, and each stage's changes (the paper's Table 3)."""
    rows: list[Sequence[Cell]] = []
    scored = scores_of([one for run in runs for one in Systems.of(run.results).all])
    names = [name for name in measures.ordered(scored) if scored[name].direction != "neither"]
    for run in runs:
        students = {
            name: min(group, key=lambda one: one.row.calls or 0)
            for name, group in Systems.of(run.results).students.items()
        }
        if len(students) < 2:
            continue
        if len(runs) > 1:
            rows.append([Cell(run.name)])
        before: System | None = None
        for one in students.values():
            rows.append([Cell(one.name), *(_score(one.row, name) for name in names)])
            if before:
                rows.append(
                    [
                        Cell(f"change from {before.model}"),
                        *(_change(before.row, one.row, name, scored[name].direction) for name in names),
                    ]
                )
            before = one
    head = ["", *(measures.heading(name, scored[name]) for name in names)]
    return Table("Stages compared (the paper's Table 3)", head, rows) if rows else None


def frontier(runs: Sequence[RunData]) -> Table | None:
    """Return each diversity variant next to the plain student (the paper's Table 6)."""
    rows: list[Sequence[Cell]] = []
    scored = scores_of([one for run in runs for one in Systems.of(run.results).all])
    names = measures.drawn(scored)
    for run in runs:
        found = Systems.of(run.results)
        varied = [one for one in found.all if one.variant]
        if not varied:
            continue
        if len(runs) > 1:
            rows.append([Cell(run.name)])
        for one in [*found.pair, *(one for one in found.last_stage if one is not found.student), *varied]:
            setting = one.row.setting
            how = [setting.sampler, setting.augment] if setting else ["", ""]
            cells = [Cell(one.name), *map(Cell, [str(one.row.calls or ""), *how])]
            rows.append([*cells, *(_score(one.row, name) for name in names)])
    head = [
        "",
        "NFE",
        "sampler",
        "augmenter",
        *(measures.heading(name, scored[name]) for name in names),
    ]
    return Table("Fidelity against diversity (the paper's Tables 4 and 6)", head, rows) if rows else None


def selected(runs: Sequence[RunData], selections: Mapping[str, Sequence[Selection]]) -> Table | None:
    """Return scores of single samples and of the selected candidate (the paper's Table 8)."""
    scored = scores_of([one for run in runs for one in Systems.of(run.results).all])
    singles = [
        name
        for name in measures.drawn(scored)
        if any(name in one.names for group in selections.values() for one in group)
    ]
    sets = [name for name in measures.drawn(scored) if name not in singles]
    rows: list[Sequence[Cell]] = []
    for run in runs:
        group = selections.get(run.name, ())
        if len(runs) > 1 and group:
            rows.append([Cell(run.name)])
        for one in group:
            across = [_score(one.system.row, name) for name in sets]
            single, best = one.rows[0], one.rows[-1]
            changes = [_change(single, best, name, scored[name].direction).mark for name in singles]
            last = [
                replace(_score(best, name), mark=mark) for name, mark in zip(singles, changes, strict=True)
            ]
            rows.append(
                [Cell(one.system.name), Cell("single"), *(_score(single, name) for name in singles), *across]
            )
            rows.append([Cell(one.system.name), Cell(best.selector), *last, *across])
    head = ["", "candidate", *(measures.heading(name, scored[name]) for name in (*singles, *sets))]
    return Table("A single sample against a selected one (the paper's Table 8)", head, rows) if rows else None


def failures(found: Sequence[Degenerate]) -> Table | None:
    """Return the shares of degenerate outputs, None if there are none."""
    if not found:
        return None
    counts = [(one, (one.empty, one.repetitive, one.copied)) for one in found]
    rows = [
        [Cell(one.system), Cell(f"{one.drawn:,}"), *(Cell(f"{count / one.drawn:.1%}") for count in three)]
        for one, three in counts
    ]
    return Table(
        "Shares of degenerate outputs", ["", "outputs", "empty", "repeat a word", "copy the source"], rows
    )


def _score(row: RowResult, name: str, best: float | None = None) -> Cell:
    score = row.scores.get(name)
    if score is None:
        return Cell()
    mark: Literal["", "best"] = "best" if best is not None and score.value == best else ""
    return Cell(measures.number(score.value), _interval(score), mark)


def _interval(score: ScoreResult) -> str:
    ends = [measures.number(end) for end in score.interval or ()]
    return "–".join(ends) if len({*ends}) == 2 else ""


def _milliseconds(system: System) -> str:
    time = system.row.milliseconds_per_sample
    return "" if time is None else f"{time:.{1 if time < 100 else 0}f}"


def _best(systems: Sequence[System], name: str, measure: measures.Measure) -> float | None:
    values = [value for one in systems if (value := one.value(name)) is not None]
    if measure.direction == "neither" or len(set(values)) < 2 or measure.about == "health":
        return None
    return max(values) if measure.direction == "higher" else min(values)


def _change(before: RowResult, after: RowResult, name: str, direction: measures.Direction) -> Cell:
    """Return the relative change, coloured only where neither value lies in the other's interval."""
    old, new = before.scores.get(name), after.scores.get(name)
    if old is None or new is None or old.value == 0:
        return Cell()
    text = f"{(new.value / old.value - 1):+.1%}"
    text = "0.0%" if text in ("+0.0%", "-0.0%") else text
    if old.value == new.value or _within(old, new) or _within(new, old):
        return Cell(text)
    improved = (new.value > old.value) == (direction == "higher")
    return Cell(text, mark="better" if improved else "worse")


def _within(one: ScoreResult, other: ScoreResult) -> bool:
    return other.interval is not None and other.interval[0] <= one.value <= other.interval[1]
