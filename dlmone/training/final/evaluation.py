"""Run the final evaluation: students, teacher, and a baseline without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlmone.core import (
    Augmenter,
    Example,
    Generator,
    SampledGenerator,
    Sampler,
    Teacher,
)
from dlmone.core.model.generator import DenoiserGenerator
from dlmone.evaluation.noise_to_text import FOLLOWED, follow, steps_followed
from dlmone.evaluation.provenance import RENOISING, UNVARIED, Provenance, describe_plugin
from dlmone.evaluation.results import NOISE_TO_TEXT
from dlmone.evaluation.scoring import Row, Setting, score, score_baselines
from dlmone.evaluation.table import write_report
from dlmone.generation.inference import generate_samples, save_samples
from dlmone.generation.readings import survey
from dlmone.models.configuration import fingerprint
from dlmone.models.folder import load_student
from dlmone.models.resolve import model_folder
from dlmone.registry import Recipe
from dlmone.registry.schema import Variant
from dlmone.runtime.files import write_whole
from dlmone.runtime.progress import Steps

from ..loop import Session
from .variants import EvaluationPlugins, steps_of


@dataclass(frozen=True, slots=True)
class _Model:
    """The teacher (no ``stage``), or the best student of a stage."""

    name: str
    generator: DenoiserGenerator
    fingerprint: str
    stage: str | None = None

    @property
    def role(self) -> Literal["teacher", "student"]:
        return "student" if self.stage else "teacher"


@dataclass(frozen=True, slots=True)
class _System:
    """A model at a setting."""

    model: _Model
    setting: Setting
    generator: Generator
    augmenter: Augmenter | None

    @property
    def file(self) -> str:
        """The name of its sample file."""
        words = (self.setting.role, self.setting.stage, str(self.setting.steps), self.setting.variant)
        return "-".join(word for word in words if word) + ".jsonl"


def evaluate_run(
    session: Session,
    recipe: Recipe,
    teacher: Teacher,
    students: Mapping[str, Path],
    examples: Sequence[Example],
    parts: EvaluationPlugins,
) -> list[Row]:
    """Sample the test split with every model and setting of the recipe, and score the samples.

    All processes sample. The main one scores and returns the rows; the others return none.

    Samples go to ``samples/``, the rows to ``report/results.json`` and ``report/table.md``, and what
    the teacher makes of its noise call by call to ``report/noise-to-text.json``. The first row is
    the baseline that copies its source; without sources it is the held-out text itself. Each other row is
    followed by those of its selected candidates.
    """
    table, compute = recipe.evaluation, session.compute
    rows: list[Row] = []
    writers = list(_writers(session, recipe, teacher, students, parts))
    total = len(writers) * len(examples) * table.candidates
    with Steps(session.console, "evaluation", total) as progress:
        for writer in writers:
            model, setting = writer.model, writer.setting
            progress.advance(0, note=f"{model.name}, {setting.variant or f'{setting.steps} steps'}")
            written = generate_samples(
                writer.generator,
                examples,
                compute,
                steps=setting.steps,
                candidates=table.candidates,
                seed=table.seed,
                batch=table.batch,
                augmenter=writer.augmenter,
                truncation=table.truncation,
                progress=progress.advance,
            )
            if not compute.world.main:
                continue
            provenance = Provenance.here(
                model.fingerprint, setting.sampler, written.calls, table.seed, setting.augment
            )
            save_samples(session.run_dir.path / "samples" / writer.file, written.samples, provenance)
            cost = written.seconds_per_sample * 1000
            row = score(
                model.name,
                written.samples,
                provenance,
                parts.evaluators,
                milliseconds=cost,
                setting=setting,
            )
            rows.append(row)
            for selector, sizes in parts.selectors:
                rows += selector.rows(row, parts.evaluators, sizes)
    if not compute.world.main:
        return []
    baseline = "copy" if any(example.source for example in examples) else "reference"
    rows = [*score_baselines(rows[:1], parts.evaluators, [baseline]), *rows]
    alone = table.truncation == "source"
    notes = survey(teacher.space, examples, most=None, alone=alone).notes
    report = session.run_dir.path / "report"
    if (steps := steps_followed(table.teacher_steps)) is not None:
        sampled = SampledGenerator(compute.frozen_copy(teacher.network), teacher.space, parts.teacher_sampler)
        found = follow(sampled, examples[:FOLLOWED], compute, steps, table.seed)
        write_whole(report / NOISE_TO_TEXT, found.model_dump_json(indent=1))
    write_report(report, rows, len(examples), table.candidates, notes)
    for note in notes:
        session.console.print(f"test data: {note}", highlight=False)
    return rows


def _writers(
    session: Session, recipe: Recipe, teacher: Teacher, students: Mapping[str, Path], parts: EvaluationPlugins
) -> Iterator[_System]:
    """Yield the plain settings of the teacher and of each stage's student, then the variants."""
    table, registry = recipe.evaluation, session.registry

    def at(model: _Model, steps: int, variant: Variant, name: str | None = None) -> _System:
        slot, sampler = variant.sampler, parts.samplers.get(name or "")
        if slot is None and model.role == "teacher":
            slot, sampler = table.teacher_sampler, parts.teacher_sampler
        setting = Setting(
            role=model.role,
            stage=model.stage,
            variant=name,
            steps=steps,
            sampler=describe_plugin(registry, slot) if slot else RENOISING,
            augment=describe_plugin(registry, variant.augment) if variant.augment else UNVARIED,
        )
        return _System(
            model, setting, model.generator.with_sampler(sampler), parts.augmenters.get(name or "")
        )

    first, *trained = models = list(_models(session, recipe, teacher, students, parts.teacher_sampler))
    for model in models:
        last = table.student_steps if model is models[-1] else (1,)
        for steps in table.teacher_steps if model is first else last:
            yield at(model, steps, Variant())
    for name, variant in table.variants.items():
        model = first if variant.of == "teacher" else trained[-1]
        yield at(model, steps_of(variant, table), variant, name)


def _models(
    session: Session,
    recipe: Recipe,
    teacher: Teacher,
    students: Mapping[str, Path],
    teacher_sampler: Sampler,
) -> Iterator[_Model]:
    compute, path = session.compute, recipe.teacher.path
    origin = fingerprint(model_folder(path, session.registry) if path else session.run_dir.path / "teacher")
    sampled = SampledGenerator(compute.frozen_copy(teacher.network), teacher.space, teacher_sampler)
    yield _Model("teacher", sampled, origin)
    for stage, folder in students.items():
        student = load_student(folder, session.registry).to(compute.device)
        student = student.with_network(compute.frozen_copy(student.network))
        yield _Model(f"student, {stage}", student, fingerprint(folder), stage)
