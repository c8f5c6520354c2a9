"""Lay out a run as a row of boxes: data, teacher, stages, evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlmone.runtime.pace import clock

from .log import PRETRAINING
from .reading import RunData
from .systems import Systems, calls_of


@dataclass(frozen=True, slots=True)
class Box:
    """One part of a run; ``done`` is False for a stage or an evaluation that has not been reached."""

    kind: str
    name: str
    lines: list[str]
    done: bool = True


@dataclass(frozen=True, slots=True)
class Flow:
    """The boxes of one run in the order in which they follow."""

    run: str
    boxes: list[Box]


def flow(run: RunData) -> Flow | None:
    """Return a run's boxes; None if its recipe cannot be read."""
    if not run.recipe:
        return None
    stages = [_stage(run, name, table) for name, table in run.stages.items()]
    return Flow(run.name, [_data(run.recipe), _teacher(run), *stages, _evaluation(run)])


def _data(recipe: Mapping[str, Any]) -> Box:
    table = recipe.get("data", {})
    place = next((str(table[key]) for key in ("path", "name", "language") if table.get(key)), "")
    return Box("data", str(table.get("use", "")), [place] if place else [])


def _teacher(run: RunData) -> Box:
    table = run.recipe.get("teacher", {})
    lines = []
    if path := table.get("path"):
        lines.append(f"loaded from {path}")
    elif pretrain := table.get("pretrain"):
        lines.append(_size(pretrain))
        lines += _time(run, PRETRAINING) if run.log.taught().stages else ["taken from the cache"]
    return Box("teacher φ", str(table.get("use", "")), lines)


def _stage(run: RunData, name: str, table: Mapping[str, Any]) -> Box:
    best = run.best(name)
    metric = table.get("validation", {}).get("metric", "score")
    reached = best.get("best") is not None
    lines = [" + ".join(_objectives(table)), _size(table), *_time(run, name)]
    if reached:
        lines.append(f"{metric} {best['best']:.3f} at step {best['best_step']:,}")
    start = "the stage before" if table.get("start") == "previous" else str(table.get("start", "teacher"))
    return Box(f"student θ, from {start}", name, lines, done=reached)


def _objectives(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield the objectives that have a weight in either update."""
    for term in stage.get("objectives", {}).values():
        if term.get("generator_weight", 1) or term.get("estimator_weight", 1):
            yield str(term.get("use"))


def _evaluation(run: RunData) -> Box:
    systems = Systems.of(run.results).all
    if not systems:
        return Box("evaluation", "", ["not reached"], done=False)
    row = systems[0].row
    calls: dict[str, set[int]] = {}
    for one in Systems.of(run.results).plain:
        if one.row.calls:
            calls.setdefault("teacher" if one.role == "teacher" else "student", set()).add(one.row.calls)
    counts = [f"{name} in {_listed(found)}" for name, found in calls.items()]
    return Box("evaluation", "test split", [f"{row.samples:,} × {row.candidates} outputs", *counts])


def _listed(counts: set[int]) -> str:
    *others, last = sorted(counts)
    return ", ".join([*(f"{count:,}" for count in others), calls_of(last)])


def _size(table: Mapping[str, Any]) -> str:
    return f"{table['steps']:,} steps of {table['batch']}" if table.get("steps") else ""


def _time(run: RunData, name: str) -> list[str]:
    seconds = run.log.seconds(name)
    return [clock(seconds)] if seconds else []
