"""The final evaluation: the student beside its teacher and beside copying the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console

from dlmone.core import Evaluator, Example, Generator, SampledGenerator, Sampler, Teacher
from dlmone.registry import Recipe

from .folder import fingerprint, load_student
from .loop import Session
from .progress import Steps
from .provenance import RENOISE, Provenance, described
from .results import results
from .scoring import Row, score, score_baselines
from .statistics import Resampling
from .write import save_samples, write_samples


@dataclass(frozen=True, slots=True)
class _Writer:
    """A model at a number of steps, with what its samples' provenance says of it."""

    model: str
    generator: Generator
    steps: int
    fingerprint: str
    sampler: str


def evaluate_run(
    session: Session,
    recipe: Recipe,
    teacher: Teacher,
    students: Mapping[str, Path],
    examples: Sequence[Example],
    sampler: Sampler,
    evaluators: Mapping[str, Evaluator],
) -> list[Row]:
    """Write and score test samples of the teacher and the last student at each number of steps.

    Earlier stages' students are scored at one step. Samples go to ``samples/``, the rows to
    ``report/results.json`` and ``report/table.md``. The first row copies its source.
    """
    table, compute = recipe.evaluation, session.compute
    rows = []
    writers = _writers(session, recipe, teacher, students, sampler)
    total = len(writers) * len(examples) * table.candidates
    with Steps(session.console, "evaluation", total) as progress:
        for writer in writers:
            progress.advance(0, note=f"{writer.model} at {writer.steps} steps")
            written = write_samples(
                writer.generator,
                examples,
                compute,
                steps=writer.steps,
                candidates=table.candidates,
                seed=table.seed,
                batch=table.batch,
                progress=progress.advance,
            )
            provenance = Provenance.here(writer.fingerprint, writer.sampler, written.calls, table.seed)
            file = session.run_dir.path / "samples" / f"{_slug(writer.model)}-{writer.steps}.jsonl"
            save_samples(file, written.samples, provenance)
            cost = written.seconds_per_sample * 1000
            rows.append(score(writer.model, written.samples, provenance, evaluators, milliseconds=cost))
    rows = [*score_baselines(rows[:1], evaluators, ["copy"]), *rows]
    _write_report(session.run_dir.path / "report", rows, len(examples), table.candidates)
    return rows


def _writers(
    session: Session, recipe: Recipe, teacher: Teacher, students: Mapping[str, Path], sampler: Sampler
) -> list[_Writer]:
    table, compute, path = recipe.evaluation, session.compute, recipe.teacher.path
    phi = SampledGenerator(compute.frozen_copy(teacher.network), teacher.space, sampler)
    origin = fingerprint(Path(path).expanduser() if path else session.run_dir.path / "teacher")
    by = described(session.registry, table.teacher_sampler)
    writers = [_Writer("teacher", phi, steps, origin, by) for steps in table.teacher_steps]
    for position, (stage, folder) in enumerate(students.items(), start=1):
        student = load_student(folder, session.registry).to(compute.device)
        student.network = compute.frozen_copy(student.network)
        counts = table.student_steps if position == len(students) else (1,)
        origin = fingerprint(folder)
        writers += [_Writer(f"student, {stage}", student, steps, origin, RENOISE) for steps in counts]
    return writers


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the final table: a line a number, a column a model at a number of calls."""
    names = _score_names(rows)
    headings = _headings(rows, names)
    margin = max(map(len, headings))
    cell = 1 + max(len(text) for row in rows for text in _cells(row, names))
    groups = [(model, list(group)) for model, group in groupby(rows, key=lambda row: row.model)]
    spans = [max(len(_group(model)) + 1, cell * len(group)) for model, group in groups]
    title = "".join(f"{_group(model):>{span}}" for (model, _), span in zip(groups, spans, strict=True))
    console.print(f"[bold]{'':{margin}}{title}[/]", highlight=False, soft_wrap=True)
    for place, heading in enumerate(headings):
        line = ""
        for (_, group), span in zip(groups, spans, strict=True):
            line += "".join(f"{_cells(row, names)[place]:>{cell}}" for row in group).rjust(span)
        console.print(f"{heading:{margin}}{line}", highlight=False, soft_wrap=True)


def _write_report(folder: Path, rows: Sequence[Row], examples: int, candidates: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = results(rows, Resampling())
    (folder / "results.json").write_text(found.text(), encoding="utf-8")
    names = _score_names(rows)
    headings = ["", *_headings(rows, names)]
    lines = [headings, ["---"] * len(headings), *([row.model, *_cells(row, names)] for row in rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    text += f"\n\n{examples} examples, {candidates} candidates each. Definitions:\n\n"
    definitions = {name: row.definition(name) for row in found.rows for name in row.scores}
    text += "\n".join(f"- `{name}`: `{definition}`" for name, definition in definitions.items())
    text += "\n\nA signature is a definition and then, after a `|`, its row's samples:\n\n"
    text += "\n".join(f"- {row.model}: `{row.origin}`" for row in found.rows)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")


def _score_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(score.name for row in rows for score in row.scores))


def _label(rows: Sequence[Row], name: str) -> str:
    arrows = {"higher": " ↑", "lower": " ↓", "neither": ""}
    direction = next(score.direction for row in rows for score in row.scores if score.name == name)
    return name + arrows[direction]


def _headings(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    return ["calls", "ms/sample", *(_label(rows, name) for name in names)]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    values = {score.name: f"{score.value:.3f}" for score in row.scores}
    cost = "" if row.milliseconds is None else f"{row.milliseconds:.{1 if row.milliseconds < 100 else 0}f}"
    return [str(row.calls or ""), cost, *(values.get(name, "") for name in names)]


def _group(model: str) -> str:
    return model.removeprefix("student, ")


def _slug(model: str) -> str:
    return model.replace(", ", "-").replace(" ", "-")
