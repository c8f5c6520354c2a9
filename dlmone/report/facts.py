"""Tabulate a run's settings: recipe, seed, versions, machine, command, stages and their time."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dlmone.runtime.pace import clock

from .log import PRETRAINING
from .reading import RunData
from .systems import Systems
from .tables import Cell, Table


def facts(runs: Sequence[RunData]) -> Table:
    """Return the runs' recipes, seeds, versions, machines, commands, stages and times."""
    wanted = [
        ("recipe", [_recipe_of(run) for run in runs]),
        ("seed", [str(run.manifest.get("seed", "")) for run in runs]),
        ("command", [shlex.join(map(str, run.manifest.get("command", ()))) for run in runs]),
        ("started", [str(run.manifest.get("started", "")) for run in runs]),
        ("computed on", [_machine(run) for run in runs]),
        ("versions", [_versions(run) for run in runs]),
        ("teacher", [_teacher(run) for run in runs]),
    ]
    for name in dict.fromkeys(name for run in runs for name in run.stages):
        wanted.append((name, [_stage(run, name) for run in runs]))
    wanted.append(("evaluation", [_evaluation(run) for run in runs]))
    rows = [
        [Cell(name), *(Cell(text, mark="code" if name == "command" else "words") for text in texts)]
        for name, texts in wanted
        if any(texts)
    ]
    return Table("What was run", ["", *(run.name for run in runs)], rows, left=True)


def _recipe_of(run: RunData) -> str:
    name = str(run.recipe.get("name", ""))
    return f"{name}, profile {run.profile}" if run.profile else name


def _machine(run: RunData) -> str:
    machine = run.manifest.get("machine", {})
    parts = [
        run.manifest.get("compute"),
        machine.get("processor"),
        f"{machine.get('cores', '?')} cores" if machine else None,
    ]
    return ", ".join(str(part) for part in parts if part)


def _versions(run: RunData) -> str:
    libraries = {"python": run.manifest.get("python"), **run.manifest.get("libraries", {})}
    return ", ".join(f"{name} {version}" for name, version in libraries.items() if version)


def _teacher(run: RunData) -> str:
    table = run.recipe.get("teacher", {})
    if table.get("path"):
        return f"{table.get('use')}, loaded from {table['path']}"
    pretrain = table.get("pretrain", {})
    steps = f", {pretrain['steps']:,} steps of {pretrain['batch']}" if pretrain else ""
    cached = "" if run.log.taught().stages or not pretrain else " (taken from the cache)"
    return f"{table['use']}{steps}{cached}{_time(run, PRETRAINING)}" if table else ""


def _stage(run: RunData, name: str) -> str:
    stage = run.stages.get(name)
    if stage is None:
        return ""
    terms = [
        f"{term.get('use')} {term.get('generator_weight', 1):g}/{term.get('estimator_weight', 1):g}"
        for term in stage.get("objectives", {}).values()
        if term.get("generator_weight", 1) or term.get("estimator_weight", 1)
    ]
    size = f"{stage.get('steps'):,} steps of {stage.get('batch')}"
    return f"{size}; weights for θ/ψ: {', '.join(terms)}{_reached(run, name)}{_time(run, name)}"


def _reached(run: RunData, name: str) -> str:
    best, metric = run.best(name), run.stages[name].get("validation", {}).get("metric", "score")
    if best.get("best") is None:
        return "; no student yet"
    return f"; best {metric} {best['best']:.3f} at step {best['best_step']}"


def _time(run: RunData, name: str) -> str:
    seconds = run.log.seconds(name)
    return f"; updates took {clock(seconds)}" if seconds else ""


def _evaluation(run: RunData) -> str:
    table = run.recipe.get("evaluation", {})
    system = next((one for one in Systems.of(run.results).all), None)
    if system is None:
        return ""
    scored = f"{system.row.samples:,} examples, {system.row.candidates} candidates each"
    return f"{scored}, batches of {table.get('batch', '?')}, seed {table.get('seed', '?')}"
