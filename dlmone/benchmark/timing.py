"""Seconds a sample: the protocol of the paper's Tables 2 and 7.

Everything from text to text counts. Rows take turns, so that a slow phase of the machine slows all of them.
Every row is warmed up before its first counted run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

import torch

from dlmone.core import DiffusionGenerator, Example, Generator, InputError, Noise
from dlmone.runtime.device import Compute
from dlmone.runtime.memory import peak_memory

from .results import Ratio, RowResult, Spread
from .stopwatch import PARTS, Clock, Lap, Stopwatch

#: Runs of a row, and of one above `MANY` network calls (Table 2 is averaged over 100).
RUNS, FEW_RUNS, MANY = 100, 3, 100
STUDENT_STEPS = (1, 2, 4)
#: The paper's figures for its teachers, and the few steps that say what a step costs.
TEACHER_STEPS = (1, 2, 4, 65, 286, 667, 1000, 2000)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be timed.

    Attributes:
        name: in the table.
        generator: the model.
        weights: where they are from.
        precision: the one that it has; None if it is timed in those of the plan.
    """

    name: str
    generator: Generator
    weights: str
    precision: str | None = None

    def steps(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers of steps it is timed at: those asked for, or by default its own."""
        if not self.generator.refines:
            return (1,)
        return asked or (STUDENT_STEPS if isinstance(self.generator, DiffusionGenerator) else TEACHER_STEPS)

    def precisions(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the precisions it is timed in."""
        return asked if self.precision is None else (self.precision,)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is timed.

    Attributes:
        texts: conditions; a batch takes them in turn. A model without a condition takes none.
        steps: refinement steps; each model's own list where empty.
        batches: batch sizes.
        precisions: ``float32`` and ``bfloat16``.
        runs: counted runs of a row; `RUNS` or `FEW_RUNS` by its steps if None.
        extrapolate: rows above `MANY` steps are not run.
        clock: what the parts, and the ratios, are measured by.
    """

    texts: Sequence[str]
    steps: tuple[int, ...] = ()
    batches: tuple[int, ...] = (1,)
    precisions: tuple[str, ...] = ("float32",)
    runs: int | None = None
    extrapolate: bool = False
    clock: Clock = "wall"


@dataclass(slots=True)
class _Row:
    """One model at one setting, and its laps."""

    subject: Subject
    generator: Generator
    compute: Compute
    precision: str
    batch: int
    steps: int
    runs: int
    clock: Clock
    peak: int | None = None
    calls: int = 0
    laps: list[Lap] = field(default_factory=list)

    def generate(self, texts: Sequence[str]) -> None:
        """Generate a batch, from text to text."""
        space, device = self.generator.space, self.compute.device
        sources = texts if space.conditional else ("",)
        examples = [Example(str(i), sources[i % len(sources)], "") for i in range(self.batch)]
        batch = space.collate(examples).to(device)
        noise = Noise([(0, id, 0) for id in batch.ids], device)
        with self.compute.autocast():
            generated = self.generator.generate(batch, noise, self.steps)
        space.text(generated.tokens_BL, batch)
        self.calls = generated.calls

    def lap(self, texts: Sequence[str]) -> None:
        with Stopwatch(self.generator, self.clock, self.compute.device) as watch:
            self.laps.append(watch.lap(lambda: self.generate(texts)))

    def result(self) -> RowResult:
        wall = [lap.wall / self.batch for lap in self.laps]
        cpu = [lap.cpu / self.batch for lap in self.laps]
        parts = {part: fmean(lap.parts[part] / self.batch for lap in self.laps) for part in PARTS}
        overheads = [sum(lap.parts.values()) / lap.parts["network"] for lap in self.laps]
        return RowResult(
            model=self.subject.name,
            weights=self.subject.weights,
            precision=self.precision,
            steps=self.steps,
            calls=self.calls,
            batch=self.batch,
            runs=len(self.laps),
            wall=_spread(wall),
            cpu=_spread(cpu),
            parts=parts,
            overhead=_spread(overheads),
            samples_per_second=1 / fmean(wall),
            peak_bytes=self.peak,
        )


@torch.no_grad()
def bench(
    subjects: Sequence[Subject],
    compute: Compute,
    plan: Plan,
    progress: Callable[[int], None] = lambda count: None,
) -> list[RowResult]:
    """Time every subject at every setting of the plan, in the order of subject, precision, batch, steps.

    Raises:
        InputError: a model cannot take the steps asked for, or a text does not fit it; or a row is to be
            extrapolated that has no two to be extrapolated from.
    """
    rows = [row for subject in subjects for row in _rows(subject, compute, plan)]
    timed = [row for row in rows if row.runs]
    for row in timed:  # the first run; a second warms up what is only prepared then
        row.peak = peak_memory(lambda row=row: row.generate(plan.texts), compute.device)  # type: ignore[misc]
        row.generate(plan.texts)
        progress(1)
    for turn in range(max((row.runs for row in timed), default=0)):
        for row in timed:
            if turn < row.runs:
                row.lap(plan.texts)
                progress(1)
    measured = {id(row): row.result() for row in timed}
    return [measured.get(id(row)) or _extrapolated(row, list(measured.values())) for row in rows]


def count_runs(subjects: Sequence[Subject], plan: Plan) -> int:
    """Return how often `bench` will call its ``progress``."""
    steps = [
        count
        for subject in subjects
        for count in subject.steps(plan.steps) * len(subject.precisions(plan.precisions))
    ]
    return len(plan.batches) * sum(_runs(count, plan) + 1 for count in steps if _runs(count, plan))


def ratios(rows: Sequence[RowResult], clock: Clock) -> list[Ratio]:
    """Return how many times longer each model takes than the fastest row of all, at the smallest batch.

    Of a model's precisions the faster one counts, at each number of calls. Medians are compared.
    """
    smallest = min(row.batch for row in rows)
    best: dict[tuple[str, int], RowResult] = {}
    for row in rows:
        key = (row.model, row.calls)
        if row.batch == smallest and (key not in best or _seconds(row, clock) < _seconds(best[key], clock)):
            best[key] = row
    fastest = min(best.values(), key=lambda row: _seconds(row, clock))
    return [
        Ratio(
            model=row.model,
            precision=row.precision,
            calls=row.calls,
            extrapolated=row.extrapolated_from is not None,
            times=_seconds(row, clock) / _seconds(fastest, clock),
        )
        for row in best.values()
    ]


def _rows(subject: Subject, compute: Compute, plan: Plan) -> list[_Row]:
    rows = []
    for precision in subject.precisions(plan.precisions):
        at = replace(compute, bfloat16=precision == "bfloat16" and subject.precision is None)
        generator = subject.generator
        if at.bfloat16:
            generator = copy.deepcopy(generator)
            generator.prepare(torch.bfloat16)
        rows += [
            _Row(subject, generator, at, precision, batch, steps, _runs(steps, plan), plan.clock)
            for batch in plan.batches
            for steps in subject.steps(plan.steps)
        ]
    return rows


def _runs(steps: int, plan: Plan) -> int:
    """Return how often a row is timed: not at all where it is extrapolated."""
    if steps > MANY and plan.extrapolate:
        return 0
    return plan.runs or (FEW_RUNS if steps > MANY else RUNS)


def _extrapolated(row: _Row, measured: Sequence[RowResult]) -> RowResult:
    """Return the row on the line through the two longest ones measured of its model and setting."""
    setting = (row.subject.name, row.precision, row.batch)
    alike = [one for one in measured if (one.model, one.precision, one.batch) == setting]
    near = sorted({one.calls: one for one in alike}.values(), key=lambda one: one.calls)[-2:]
    if len(near) < 2:
        raise InputError(
            f"{row.subject.name}: {row.steps} steps are extrapolated from two shorter rows; "
            f"ask for two numbers of steps up to {MANY} as well, as in --steps 2,4,{row.steps}"
        )
    low, high = near

    def along(of_low: float, of_high: float) -> float:
        return of_high + (row.steps - high.calls) * (of_high - of_low) / (high.calls - low.calls)

    wall, cpu = along(low.wall.median, high.wall.median), along(low.cpu.median, high.cpu.median)
    return high.model_copy(
        update={
            "steps": row.steps,
            "calls": row.steps,
            "runs": 0,
            "wall": _spread([wall]),
            "cpu": _spread([cpu]),
            "parts": {},
            "overhead": None,
            "samples_per_second": 1 / wall,
            "peak_bytes": None,
            "extrapolated_from": (low.calls, high.calls),
        }
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=fmean(values), median=median(values), min=min(values), max=max(values))


def _seconds(row: RowResult, clock: Clock) -> float:
    return (row.wall if clock == "wall" else row.cpu).median
