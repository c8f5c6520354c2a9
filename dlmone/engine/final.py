"""The final evaluation: the student beside its teacher and beside copying the source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from dlmone.core import Evaluator, Example, Generator, Sample, SampledGenerator, Sampler, Score, Teacher
from dlmone.registry import Recipe

from .folder import load_student
from .judge import judge
from .loop import Session
from .progress import Steps
from .write import save_samples, write_samples


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the final table. A row without network calls is a baseline."""

    model: str
    scores: list[Score]
    calls: int | None = None
    milliseconds: float | None = None


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
    ``report/results.json`` and ``report/table.md``.
    """
    table, compute = recipe.evaluation, session.compute
    phi = SampledGenerator(compute.frozen_copy(teacher.network), teacher.space, sampler)
    plan: list[tuple[str, Generator, int]] = [("teacher", phi, steps) for steps in table.teacher_steps]
    for position, (stage, folder) in enumerate(students.items(), start=1):
        student = load_student(folder, session.registry).to(compute.device)
        student.network = compute.frozen_copy(student.network)
        counts = table.student_steps if position == len(students) else (1,)
        plan += [(f"student, {stage}", student, n) for n in counts]

    rows = []
    if teacher.space.conditional:
        rows.append(Row("copy", judge(_copies(phi, examples, table.candidates), evaluators)))
    total = len(plan) * len(examples) * table.candidates
    with Steps(session.console, "evaluation", total) as progress:
        for model, generator, steps in plan:
            progress.advance(0, note=f"{model} at {steps} steps")
            written = write_samples(
                generator,
                examples,
                compute,
                steps=steps,
                candidates=table.candidates,
                seed=table.seed,
                batch=table.batch,
                progress=progress.advance,
            )
            save_samples(session.run_dir.path / "samples" / f"{_slug(model)}-{steps}.jsonl", written.samples)
            scores = judge(written.samples, evaluators)
            rows.append(Row(model, scores, written.calls, written.seconds_per_sample * 1000))
    _write_report(session.run_dir.path / "report", rows, len(examples), table.candidates)
    return rows


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


def _copies(generator: Generator, examples: Sequence[Example], candidates: int) -> list[Sample]:
    """The baseline that copies each source, after the round trip through the tokeniser that outputs take."""
    tokens = generator.space.collate(examples)
    sources = generator.space.source_text(tokens)
    references = generator.space.text(tokens.tokens_BL, tokens)
    return [
        Sample(example.id, source, reference, (source,) * candidates)
        for example, source, reference in zip(examples, sources, references, strict=True)
    ]


def _write_report(folder: Path, rows: Sequence[Row], examples: int, candidates: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "examples": examples,
        "candidates": candidates,
        "rows": [
            {
                "model": row.model,
                "calls": row.calls,
                "milliseconds_per_sample": row.milliseconds,
                "scores": {score.name: _score_facts(score) for score in row.scores},
            }
            for row in rows
        ],
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    names = _score_names(rows)
    headings = ["", *_headings(rows, names)]
    lines = [headings, ["---"] * len(headings), *([row.model, *_cells(row, names)] for row in rows)]
    signatures = {score.name: score.signature for row in rows for score in row.scores}
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    text += f"\n\n{examples} examples, {candidates} candidates each. Definitions:\n\n"
    text += "\n".join(f"- `{name}`: `{signature}`" for name, signature in signatures.items())
    (folder / "table.md").write_text(text + "\n")


def _score_facts(score: Score) -> dict[str, Any]:
    return {"value": score.value, "signature": score.signature, "direction": score.direction}


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
