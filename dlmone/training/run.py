"""Run a recipe: data → teacher → stages → final evaluation of student and teacher."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from dlmone.core import Teacher
from dlmone.evaluation.blindness import blind, sentences, texts_given
from dlmone.evaluation.table import show
from dlmone.models.resolve import model_folder
from dlmone.registry import Registry, ResolvedRecipe
from dlmone.runtime.device import Compute
from dlmone.runtime.files import write_whole, written_folder
from dlmone.runtime.pace import clock
from dlmone.training.final.evaluation import evaluate_run

from .batches.tokenized import TokenizedExamples
from .loop import Session
from .preflight import prepare, read_data, try_out
from .saving.run_directory import RunDirectory
from .stage import run_stage
from .start import saved_starts
from .teacher import prepare_teacher
from .tracking import create_trackers, tracking


def run(
    resolved: ResolvedRecipe,
    path: Path,
    registry: Registry,
    console: Console,
    *,
    command: Sequence[str],
    until: Literal["teacher", "end"] = "end",
) -> None:
    """Run a recipe in a run directory, resuming if it holds an earlier part of the run.

    Args:
        resolved: the recipe with all defaults filled in.
        path: the run directory; created if missing.
        registry: provides the plugins.
        console: receives the progress (standard error).
        command: the command line, for the manifest.
        until: stop once the teacher is trained, or run to the end.

    Raises:
        DlmoneError: the run failed, with one sentence on why; files already saved stay.
    """
    recipe = resolved.recipe
    compute = Compute.start(recipe.compute)
    if not compute.world.main:
        console = Console(quiet=True)
    trackers = create_trackers(registry, recipe) if compute.world.main else {}
    run_dir = RunDirectory(path, main=compute.world.main)
    run_dir.open()
    try:
        session = Session(run_dir, compute, registry, console)
        with tracking(registry, resolved, path, trackers):
            _run(session, resolved, command, until)
    finally:
        run_dir.close()


def _run(
    session: Session, resolved: ResolvedRecipe, command: Sequence[str], until: Literal["teacher", "end"]
) -> None:
    recipe, registry, console, path = resolved.recipe, session.registry, session.console, session.run_dir.path
    started = time.monotonic()
    models = {f"stages.{name}.start": folder for name, folder in saved_starts(recipe, registry).items()}
    if recipe.teacher.path:
        models["teacher.path"] = model_folder(recipe.teacher.path, registry)
    if (path / "teacher").exists() and not recipe.teacher.path:
        models["teacher"] = path / "teacher"
    if session.compute.world.main:
        hashes = session.run_dir.check_models(models)
        for sentence in session.run_dir.changed_plugins(registry.describe()):
            warnings.warn(sentence, stacklevel=2)
        write_whole(path / "recipe.toml", resolved.dump())
        session.run_dir.write_manifest(
            command, recipe.seed, session.compute.describe(), registry.describe(), hashes
        )
        registry.notify("run_started", run_dir=path, recipe=resolved.table)
    console.print(f"run directory {path}; {session.compute.describe()}", highlight=False)

    splits = read_data(recipe, registry)
    train_split, valid_split = splits["train"], splits["valid"]
    console.print(
        f"data: {len(train_split):,} training and {len(valid_split):,} validation examples", highlight=False
    )
    prepared = prepare(recipe, registry, splits)
    parts, evaluators = prepared.parts, prepared.parts.evaluators
    unseen = blind(evaluators, texts_given(valid_split))
    for sentence in sentences(unseen) if session.compute.world.main else ():
        warnings.warn(sentence, stacklevel=2)

    def check(teacher: Teacher) -> None:
        try_out(recipe, registry, prepared, teacher, session.compute)

    by = parts.teacher_sampler
    teacher = prepare_teacher(session, recipe, train_split, valid_split, by, evaluators, check)
    if until == "teacher":
        console.print(f"teacher: {path / 'teacher'}", highlight=False)
        return
    tokenized = TokenizedExamples(teacher.space, train_split)
    students: dict[str, Path] = {}
    previous: Path | None = None
    for name, stage in recipe.stages.items():
        start = prepared.starts.get(name, previous if stage.start == "previous" else None)
        previous = run_stage(
            session,
            recipe,
            name,
            teacher,
            prepared.objectives[name],
            start,
            tokenized,
            valid_split,
            evaluators,
        )
        students[name] = previous
    main = session.compute.world.main
    if main and previous is not None:
        with written_folder(path / "student", "the student") as student:
            shutil.copytree(previous, student, dirs_exist_ok=True)
    test_split = splits["test"][: recipe.evaluation.examples]
    rows = evaluate_run(session, recipe, teacher, students, test_split, parts)
    if not main:
        return
    show(Console(), rows)
    final = {f"{row.title}, {row.calls} calls, {s.name}": s.value for row in rows for s in row.scores}
    registry.notify("evaluation_finished", stage="final", step=0, scores=final)
    registry.notify("run_finished", run_dir=path)
    console.print(f"\n{recipe.note}" if recipe.note else "", highlight=False)
    console.print(
        f"finished in {clock(time.monotonic() - started)}; the table is in {path / 'report'}", highlight=False
    )
