"""Represent the rows of a final table as systems: model, network calls and label."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from dlmone.evaluation.provenance import FIRST, Provenance
from dlmone.evaluation.results import Results, RowResult

from .measures import Measure
from .reading import RunData

Role = Literal["teacher", "student", "other", "baseline"]


@dataclass(frozen=True, slots=True)
class System:
    """One row: a model at one setting, with one way of selecting among its candidates."""

    row: RowResult

    @property
    def role(self) -> Role:
        if self.row.kind == "baseline":
            return "baseline"
        return self.row.setting.role if self.row.setting else "other"

    @property
    def stage(self) -> str | None:
        return self.row.setting.stage if self.row.setting else None

    @property
    def variant(self) -> str | None:
        return self.row.setting.variant if self.row.setting else None

    @property
    def selected(self) -> bool:
        """Whether one candidate was selected among several."""
        return self.row.selector != FIRST

    @property
    def model(self) -> str:
        """The model without its setting: ``teacher``, ``student stage-2``, ``copy``."""
        return f"student {self.stage}" if self.stage else self.row.model

    @property
    def name(self) -> str:
        """The full name on the page: model, calls, variant and selector."""
        calls = "" if self.row.calls is None or self.role == "baseline" else f", {calls_of(self.row.calls)}"
        variant = f", {self.variant}" if self.variant else ""
        return f"{self.model}{calls}{variant}" + (f" + {self.row.selector}" if self.selected else "")

    def value(self, score: str) -> float | None:
        found = self.row.scores.get(score)
        return None if found is None else found.value


@dataclass(frozen=True)
class Systems:
    """All systems of a run, in the order of its table."""

    all: list[System]

    @classmethod
    def of(cls, results: Results | None) -> Systems:
        return cls([System(row) for row in results.rows] if results else [])

    def without(self, written: Collection[Provenance]) -> Systems:
        """Return the systems without a teacher's rows on samples of these provenances."""
        return Systems(
            [one for one in self.all if one.role != "teacher" or one.row.provenance not in written]
        )

    @property
    def plain(self) -> list[System]:
        """The systems without a variant or selection."""
        written = (one for one in self.all if one.role != "baseline")
        return [one for one in written if not one.variant and not one.selected]

    def role(self, role: Role) -> list[System]:
        """Return the plain systems of a role."""
        return [one for one in self.plain if one.role == role]

    @property
    def baselines(self) -> list[System]:
        """The systems without a model."""
        return [one for one in self.all if one.role == "baseline"]

    @property
    def students(self) -> dict[str, list[System]]:
        """The plain students of each stage."""
        found: dict[str, list[System]] = {}
        for one in self.role("student"):
            found.setdefault(one.model, []).append(one)
        return found

    @property
    def last_stage(self) -> list[System]:
        """The plain systems of the last stage's student, fewest calls first."""
        students = self.students
        return sorted(students[list(students)[-1]], key=_calls) if students else []

    @property
    def student(self) -> System | None:
        """The last stage's student at its lowest NFE, the target of the distillation."""
        return self.last_stage[0] if self.last_stage else None

    @property
    def teacher(self) -> System | None:
        """The teacher at its highest NFE, with which the student is compared."""
        return max(self.role("teacher"), key=_calls, default=None)

    @property
    def pair(self) -> list[System]:
        """Teacher and student, those that exist."""
        return [one for one in (self.teacher, self.student) if one]


def compared(runs: Sequence[RunData]) -> list[tuple[RunData, Systems]]:
    """Return the systems of several runs; a shared teacher's appear with the first run only."""
    found: list[tuple[RunData, Systems]] = []
    written: list[Provenance] = []
    for run in runs:
        systems = Systems.of(run.results)
        found.append((run, systems.without(written)))
        written += [one.row.provenance for one in systems.all]
    return found


def calls_of(calls: int) -> str:
    """Format a number of network calls."""
    return f"{calls:,} call{'' if calls == 1 else 's'}"


def scores_of(systems: Sequence[System]) -> dict[str, Measure]:
    """Return every score that any of the systems has, with how to read it."""
    scores = {name: score for one in systems for name, score in one.row.scores.items()}
    return {name: Measure(score.direction, score.measures) for name, score in scores.items()}


def _calls(system: System) -> int:
    return system.row.calls or 0
