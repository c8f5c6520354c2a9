"""Run one stage: distil, validate raw and EMA weights, keep the best student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone.core import Evaluator, Example, InputError, Objective, Teacher
from dlmone.models.card import student_card
from dlmone.models.configuration import read_config
from dlmone.models.folder import load_student, publish
from dlmone.registry import Recipe, Registry

from .batches.tokenized import TokenizedExamples
from .distillation import Distillation
from .loop import Intervals, Session, train
from .start import check_fits
from .validation import INTERVAL, Validator, improves


def stage_objectives(registry: Registry, recipe: Recipe, name: str) -> dict[str, Objective]:
    """Return a stage's objectives by name.

    Raises:
        InputError: an objective's options are invalid, or it cannot be used in this stage.
        PluginError: an objective is not installed.
    """
    stage, objectives = recipe.stages[name], {}
    for key, slot in stage.objectives.items():
        where = f"stages.{name}.objectives.{key}"
        objective: Objective = registry.create("objectives", slot, where)
        objectives[key] = objective
    return objectives


def run_stage(
    session: Session,
    recipe: Recipe,
    name: str,
    teacher: Teacher,
    objectives: Mapping[str, Objective],
    start: Path | None,
    train_split: TokenizedExamples,
    valid_split: Sequence[Example],
    evaluators: Mapping[str, Evaluator],
) -> Path:
    """Run or resume a stage and return the folder of its best student.

    In every stage ψ starts from φ and the optimizers are new. θ starts from the student in ``start``, such as
    the best one of the previous stage (section 3.3), or from φ.
    """
    stage, compute, registry = recipe.stages[name], session.compute, session.registry
    network = None if start is None else load_student(start, registry).network
    distillation = Distillation(name, stage, teacher, objectives, train_split, compute, recipe.seed, network)
    best_folder = session.run_dir.path / name / "best"
    facts: dict[str, Any] = {"best": None, "best_step": None, "metric": None}
    validator = Validator(stage.validation, f"stages.{name}", evaluators, valid_split, compute, recipe.seed)

    def validate(step: int) -> Mapping[str, float]:
        logged: dict[str, float] = {}
        for which, network in (("raw", distillation.generator.network), ("ema", distillation.average)):
            result = validator(distillation.frozen_generator(network), stage.calls)
            selects = which == stage.weights
            better = compute.world.agree(
                selects and result is not None and improves(result.deciding, facts["best"])
            )
            weights = distillation.weights(which) if better else {}  # the processes make it whole together
            if result is None:
                continue
            logged |= {f"{which}/{key}": value for key, value in result.named.items()}
            if selects:
                logged |= result.logged_interval
                registry.notify("validation_sampled", stage=name, step=step, samples=result.samples)
            if better:
                facts.update(best=result.deciding.value, best_step=step, metric=result.deciding.name)
                _publish_best(best_folder, recipe, name, teacher, distillation, weights, facts)
        return logged

    intervals = Intervals(
        stage.steps, stage.log_every, stage.validation.every, stage.checkpoint_every, stage.keep_checkpoints
    )
    shown = (
        f"{stage.weights}/{validator.metric}",
        *INTERVAL,
        *(f"{key}/{value}" for key, objective in objectives.items() for value in objective.shown),
    )
    train(session, name, distillation, intervals, validate, facts, shown)
    facts = compute.world.agree(facts)
    if facts["best"] is None:
        raise InputError(
            f"stages.{name}.validation.metric: {validator.metric} was never a finite number, so no student "
            "was selected"
        )
    _check_best(best_folder, recipe, name, teacher, registry, facts)
    session.console.print(
        f"{name}: best {validator.metric} {facts['best']:.4f} at step {facts['best_step']}",
        highlight=False,
    )
    return best_folder


def _check_best(
    folder: Path, recipe: Recipe, name: str, teacher: Teacher, registry: Registry, facts: Mapping[str, Any]
) -> None:
    """Check that the student in a folder is the one that the stage selected, before anything is built on it.

    Raises:
        InputError: it was exchanged.
    """
    lost = f"stages.{name}: the best student is not the stage's own; without --resume a new run starts"
    config = read_config(folder)
    if config["role"] != "student" or config["teacher"] != recipe.teacher.use:
        raise InputError(f"{lost} ({folder} holds a {config['role']} of the family {config['teacher']!r})")
    if (step := config["student"].get("best_step")) != facts["best_step"]:
        raise InputError(f"{lost} ({folder} is of step {step}, the stage's of step {facts['best_step']})")
    try:
        with torch.random.fork_rng(devices=[]):
            check_fits(load_student(folder, registry), folder, teacher, recipe.stages[name].student.given)
    except InputError as error:
        raise InputError(f"{lost} ({error})") from None


def _publish_best(
    folder: Path,
    recipe: Recipe,
    name: str,
    teacher: Teacher,
    distillation: Distillation,
    weights: Mapping[str, Tensor],
    facts: Mapping[str, Any],
) -> None:
    stage, student = recipe.stages[name], distillation.generator
    publish(
        folder,
        teacher,
        recipe.teacher.use,
        "student",
        student_card(recipe, name, facts, teacher.space.conditional),
        weights=weights,
        student={
            "t_init": student.t_init,
            "unit_input": student.unit_input,
            "second_time": student.network.second_time,
            "spacing": student.spacing,
            "size": stage.student.given,
            "calls": stage.calls,
            "stage": name,
            **facts,
        },
    )
