"""Plan the runs of a grid: resolve every one, fit its steps to the budget, and check it before any is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dlmone.core import DlmoneError, Example, InputError, Objective, Sketch, Teacher
from dlmone.models.folder import load_teacher
from dlmone.models.resolve import model_folder
from dlmone.registry import Recipe, Registry, ResolvedRecipe
from dlmone.registry.explain import dotted
from dlmone.registry.loading.layers import Layer
from dlmone.training.final.variants import EvaluationPlugins
from dlmone.training.requests import check_requests
from dlmone.training.saving.run_directory import changed
from dlmone.training.stage import stage_objectives
from dlmone.training.teacher import check_times
from dlmone.training.validation import check_metrics

from .budget import StageCost, costs, fitted
from .grid import GridRow, Settings

#: Resolve the grid's recipe with a row's changes and further settings, and a seed.
Resolve = Callable[[Layer | None, Settings, int | None], ResolvedRecipe]
#: What rows have in common.
SHARED = ("data", "teacher")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a grid.

    Attributes:
        path: its run directory.
        resolved: its recipe.
        seed: of its student.
        costs: what its stages cost, by name.
        registry: provides its plugins.
    """

    path: Path
    resolved: ResolvedRecipe
    seed: int
    costs: Mapping[str, StageCost]
    registry: Registry

    @property
    def passes(self) -> float:
        """The passes of its training."""
        stages = self.resolved.recipe.stages
        return sum(cost.until(stages[name].steps) for name, cost in self.costs.items())

    def passes_until(self, stage: str, step: int) -> float:
        """Return the passes until a step of a stage, those of the stages before included."""
        stages = self.resolved.recipe.stages
        before = list(self.costs)[: list(self.costs).index(stage)]
        return sum(self.costs[name].until(stages[name].steps) for name in before) + self.costs[stage].until(
            step
        )


@dataclass(frozen=True)
class Candidate:
    """A row at one choice of the values that it searches, with a run per seed.

    Attributes:
        name: the choice, as in ``lr=0.0001``; empty for a row that searches nothing.
        runs: by seed; the search compares those of the first.
    """

    name: str
    runs: Sequence[PlannedRun]


@dataclass(frozen=True)
class PlannedRow:
    """A row of a grid: several candidates if it searches, else one."""

    name: str
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Plan:
    """A grid with all its runs.

    Attributes:
        out: its folder.
        teacher: the run that provides and evaluates the teacher: the recipe without its stages.
        rows: in the order of the table.
        seeds: of the students.
        passes: the budget of each run; None if each keeps its recipe's steps.
    """

    out: Path
    teacher: PlannedRun
    rows: Sequence[PlannedRow]
    seeds: Sequence[int]
    passes: float | None

    @property
    def runs(self) -> list[PlannedRun]:
        return [run for row in self.rows for one in row.candidates for run in one.runs]


@dataclass(frozen=True)
class Common:
    """What all rows share: the data, and the teacher, untrained if the grid has not trained it yet."""

    train: Sequence[Example]
    valid: Sequence[Example]
    teacher: Teacher

    @classmethod
    def of(cls, recipe: Recipe, out: Path, registry: Registry) -> Common:
        """Read the data and load or build the teacher, in a grid's folder.

        Raises:
            InputError: the data or the teacher's folder cannot be read.
        """
        source = registry.create("data", recipe.data, "data")
        train, slot, trained = source.split("train"), recipe.teacher, out / "teacher" / "teacher"
        if slot.path or trained.exists():
            folder = model_folder(slot.path, registry) if slot.path else trained
            return cls(train, source.split("valid"), load_teacher(folder, registry))
        options = registry.options("teachers", slot.use, slot.options, "teacher")
        with torch.random.fork_rng(devices=[]):
            teacher = registry.load("teachers", slot.use).build(options, train)
        return cls(train, source.split("valid"), teacher)


def make_plan(
    out: Path,
    rows: Sequence[GridRow],
    resolve: Resolve,
    registry: Registry,
    sketch: Sketch,
    seeds: int,
    passes: float | None,
) -> Plan:
    """Resolve every run of a grid.

    Rows differ in their students: the teacher is that of the recipe and its seed, whatever a run's own seed.

    Args:
        out: the grid's folder.
        rows: what the rows change.
        resolve: resolves the recipe.
        registry: provides the plugins.
        sketch: the size of the teacher, to count passes.
        seeds: how many runs a row has; their seeds count up from the recipe's.
        passes: the budget of each run.

    Raises:
        InputError: rows are wrong, or change the data or the teacher; one line per row.
        PluginError: a plugin cannot be used.
    """
    base = resolve(None, (), None)
    # Without stages, and evaluated: φ's rows of the table.
    plain: Settings = (
        *((f"evaluation.variants.{dotted((name,))}", False) for name in base.recipe.evaluation.variants),
        *((f"evaluation.select.{dotted((name,))}", False) for name in base.recipe.evaluation.select),
    )
    alone = resolve(None, (*plain, *((f"stages.{name}", False) for name in base.recipe.stages)), None)
    teacher = PlannedRun(out / "teacher", alone, base.recipe.seed, {}, registry)
    path = base.recipe.teacher.path or str(teacher.path / "teacher")
    shared: Settings = (*plain, ("teacher.path", path), ("evaluation.teacher_steps", []))
    numbers = [base.recipe.seed + place for place in range(seeds)]
    planned, mistakes = [], []
    for row in rows:
        candidates = []
        for name, chosen in row.candidates:
            try:
                settings = (*row.settings, *chosen)
                _check_shared(resolve(row.layer, settings, None), base)
                settings = (*settings, *shared)
                resolved = resolve(row.layer, settings, None)
                if resolved.recipe.seed != base.recipe.seed:
                    raise InputError("seed: every row has the same seeds, those of --seed and --seeds")
                objectives = _objectives(registry, resolved.recipe)
                spent = costs(resolved.recipe, objectives, sketch)
                if passes:
                    settings = (*settings, *fitted(resolved.recipe, spent, passes))
            except DlmoneError as error:
                mistakes.append(f"row {row.name}: {error}")
                continue
            folder = out / "runs" / row.name / name
            runs = [
                PlannedRun(folder / f"seed-{seed}", resolve(row.layer, settings, seed), seed, spent, registry)
                for seed in numbers
            ]
            candidates.append(Candidate(name, runs))
        planned.append(PlannedRow(row.name, candidates))
    if mistakes:
        raise InputError("\n".join(mistakes))
    return Plan(out, teacher, planned, numbers, passes)


def check_plan(plan: Plan, common: Common, registry: Registry) -> None:
    """Check every row as its run would.

    Raises:
        InputError: a row's metrics, times or guidance do not fit the data or the teacher, or a folder holds
            another run than the plan's; one line per row.
    """
    mistakes = []
    for run in (plan.teacher, *plan.runs):
        if differ := _changed(run):
            mistakes.append(
                f"{run.path} was run with {differ}; delete this folder to run it again, or give another --out"
            )
    if mistakes:
        raise InputError("\n".join(mistakes))
    for row in plan.rows:
        for candidate in row.candidates:
            one = candidate.runs[0].resolved.recipe
            try:
                parts = EvaluationPlugins.of(registry, one.evaluation)
                check_metrics(one, parts.evaluators, common.valid)
                objectives = _objectives(registry, one)
                check_times(one, common.teacher.space.schedule, objectives, parts.samplers_by_key)
                check_requests(common.teacher, objectives, common.train[0])
            except InputError as error:
                mistakes.append(f"row {row.name}: {error}")
    if mistakes:
        raise InputError("\n".join(mistakes))


def _check_shared(resolved: ResolvedRecipe, base: ResolvedRecipe) -> None:
    for key in SHARED:
        if resolved.table.get(key) != base.table.get(key):
            raise InputError(f"changes the {key}, which all rows share; give each a grid of its own")


def _objectives(registry: Registry, recipe: Recipe) -> Mapping[str, Mapping[str, Objective]]:
    return {name: stage_objectives(registry, recipe, name) for name in recipe.stages}


def _changed(run: PlannedRun) -> str | None:
    """Say what a run's folder was begun with, if it is not the plan's recipe."""
    # The grid gives its runs the teacher, and compares that of its own folder.
    free = () if run.path.name == "teacher" else ("teacher.",)
    if not (run.path / "recipe.toml").is_file():
        return None
    return changed(run.path, run.registry, run.resolved, free)
