"""Read a run's log as curves over one axis with the stages in sequence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from dlmone.runtime.parsing import parse_json

Entry = Mapping[str, Any]

#: The stage name under which a run logs its teacher's pretraining.
PRETRAINING = "pretrain"
#: Maximum points of a curve; more would be indistinguishable on a page.
POINTS = 400


@dataclass(frozen=True, slots=True)
class Stage:
    """The entries of one stage.

    Attributes:
        start: its first position on the common axis, after the steps of earlier stages.
        last: its last logged step.
    """

    name: str
    start: int
    last: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Curve:
    """One logged value over the steps of one stage."""

    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class Log:
    """The entries of consecutive stages.

    Attributes:
        unreadable: number of lines that are not valid entries.
    """

    stages: list[Stage] = field(default_factory=list)
    unreadable: int = 0

    @property
    def end(self) -> int:
        """The end of the common axis."""
        return max((stage.start + stage.last for stage in self.stages), default=0)

    def taught(self) -> Log:
        """Return the teacher's pretraining only."""
        return Log([stage for stage in self.stages if stage.name == PRETRAINING])

    def distilled(self) -> Log:
        """Return the stages of distillation."""
        return Log([stage for stage in self.stages if stage.name != PRETRAINING])

    def keys(self, kind: str, prefixes: tuple[str, ...]) -> list[str]:
        """Return the keys of numeric values in the entries of a kind, in order of appearance."""
        found = (
            key
            for stage in self.stages
            for entry in stage.entries
            if entry["kind"] == kind
            for key, value in entry.items()
            if key != "step" and _is_number(value)
        )
        return [key for key in dict.fromkeys(found) if key.startswith(prefixes)]

    def curves(self, kind: str, key: str) -> list[Curve]:
        """Return a value's curve in each stage that logged it, on the common axis."""
        curves = (curve(stage.entries, kind, key, stage.start) for stage in self.stages)
        return [one for one in curves if one.steps]

    def seconds(self, name: str) -> float | None:
        """Return the duration of a stage's updates: each entry gives the mean since the one before."""
        stage = next((stage for stage in self.stages if stage.name == name), None)
        logged = curve(stage.entries, "train", "seconds_per_step") if stage else Curve([], [])
        if not logged.steps:
            return None
        spans = [step - before for before, step in pairwise([0, *logged.steps])]
        return sum(span * value for span, value in zip(spans, logged.values, strict=True))


def read_log(path: Path) -> Log:
    """Read ``metrics.jsonl``. Invalid lines (e.g. an incomplete last one) are counted and skipped."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return Log()
    stages: dict[str, list[Entry]] = {}
    unreadable = 0
    for line in lines:
        try:
            entry = parse_json(line)
        except ValueError:
            entry = None
        if _is_entry(entry):
            stages.setdefault(entry["stage"], []).append(entry)
        else:
            unreadable += 1
    return Log(list(_in_a_row(stages)), unreadable)


def _is_entry(value: Any) -> bool:
    """Tell whether a line's value has what every entry has, each of its type."""
    if not isinstance(value, dict):
        return False
    stage, step, kind = (value.get(key) for key in ("stage", "step", "kind"))
    return isinstance(stage, str) and type(step) is int and isinstance(kind, str)


def curve(entries: Iterable[Entry], kind: str, key: str, start: int = 0) -> Curve:
    """Return a value over steps, shifted by ``start``; entries without it are skipped."""
    seen = [
        (start + entry["step"], float(entry[key]))
        for entry in entries
        if entry["kind"] == kind and _is_number(entry.get(key))
    ]
    return Curve([step for step, _ in seen], [value for _, value in seen])


def smooth(one: Curve) -> Curve:
    """Return the running mean of values logged per batch, at no more than `POINTS` steps."""
    size = len(one.steps)
    width, stride = max(5, size // 50), max(1, size // POINTS)
    places = range((size - 1) % stride, size, stride) if size else ()
    parts = [one.values[max(0, place - width + 1) : place + 1] for place in places]
    return Curve([one.steps[place] for place in places], [sum(part) / len(part) for part in parts])


def _in_a_row(stages: Mapping[str, list[Entry]]) -> Iterable[Stage]:
    start = 0
    for name, entries in stages.items():
        last = max(entry["step"] for entry in entries)
        taught = name == PRETRAINING
        yield Stage(name, 0 if taught else start, last, entries)
        start += 0 if taught else last


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
