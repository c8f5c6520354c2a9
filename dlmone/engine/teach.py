"""Where the teacher comes from: a folder, the cache, or pretraining on the spot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from dlmone.core import Evaluator, Example, InputError, SampledGenerator, Sampler, Teacher
from dlmone.core.noise import seed_of
from dlmone.registry import Recipe

from .card import teacher_card
from .distill import stage_times
from .folder import load_teacher, publish
from .judge import chosen, health, judge
from .loop import Rhythm, Session, train
from .pretrain import Pretraining
from .write import write_samples


def obtain_teacher(
    session: Session,
    recipe: Recipe,
    train_split: Sequence[Example],
    valid_split: Sequence[Example],
    sampler: Sampler,
    evaluators: Mapping[str, Evaluator],
) -> Teacher:
    """Return φ on the compute device, its folder in the run directory.

    Raises:
        InputError: the recipe gives neither a path nor a pretraining, or the folder cannot be loaded.
    """
    slot, run_dir = recipe.teacher, session.run_dir
    device = session.compute.device
    if slot.path:
        teacher, _ = load_teacher(Path(slot.path).expanduser(), session.registry)
        session.console.print(f"teacher: loaded from {slot.path}", highlight=False)
        return teacher.to(device)
    folder = run_dir.path / "teacher"
    cached = cache_folder() / content_key(recipe, train_split, session.compute.arithmetic)
    if session.compute.world.main and not folder.exists() and cached.exists():
        session.console.print(f"teacher: taken from the cache, {cached}", highlight=False)
        shutil.copytree(cached, folder, copy_function=_link)
    session.compute.world.wait()
    if not folder.exists():
        pretrained = pretrain(session, recipe, train_split, valid_split, sampler, evaluators)
        if session.compute.world.main:
            publish(folder, pretrained, slot.use, "teacher", teacher_card(recipe))
            _keep(folder, cached)
        session.compute.world.wait()
    return load_teacher(folder, session.registry)[0].to(device)


def pretrain(
    session: Session,
    recipe: Recipe,
    train_split: Sequence[Example],
    valid_split: Sequence[Example],
    sampler: Sampler,
    evaluators: Mapping[str, Evaluator],
) -> Teacher:
    """Train the recipe's teacher (or continue to) and return its EMA."""
    slot, compute = recipe.teacher, session.compute
    table = slot.pretrain
    if table is None:
        raise InputError("teacher: give the path of a trained teacher, or a table teacher.pretrain")
    family = session.registry.load("teachers", slot.use)
    options = session.registry.options("teachers", slot.use, slot.options, "teacher")
    torch.manual_seed(seed_of((recipe.seed, "teacher")))
    teacher = family.build(options, train_split).to(compute.device)
    for name, stage in recipe.stages.items():  # a wrong time should fail before the training, not after it
        stage_times(name, stage, teacher.space.schedule)
    trainee = Pretraining(teacher, table, train_split, compute, recipe.seed)

    validators = chosen(evaluators, table.validation, "teacher.pretrain")

    def validate(step: int) -> Mapping[str, float]:
        if not compute.world.main:
            return {}
        rows = valid_split[: table.validation.examples]
        network = compute.frozen_copy(trainee.average.network)
        generator = SampledGenerator(network, trainee.average.space, sampler)
        written = write_samples(generator, rows, compute, steps=table.validation_steps, seed=recipe.seed)
        scores = {score.name: score.value for score in judge(written.samples, validators)}
        session.registry.notify("evaluation_finished", stage="pretrain", step=step, scores=scores)
        return {**scores, **health(written.samples)}

    rhythm = Rhythm(table.steps, table.log_every, table.validation.every, table.checkpoint_every)
    train(session, "pretrain", trainee, rhythm, validate, {}, shown=(table.validation.metric, "fidelity"))
    return trainee.average


def cache_folder() -> Path:
    """Where pretrained teachers are kept: ``$DLMONE_CACHE``, else the user's cache folder."""
    root = os.environ.get("DLMONE_CACHE")
    return (Path(root) if root else user_cache_path("dlmone")) / "teachers"


def content_key(recipe: Recipe, examples: Sequence[Example], arithmetic: str) -> str:
    """Hash all that a teacher's weights depend on: data, options, pretraining, seed, arithmetic."""
    from dlmone import __version__

    table = recipe.teacher.pretrain
    hidden = {"validation", "validation_steps", "log_every", "checkpoint_every"}
    facts: dict[str, Any] = {
        "version": __version__,
        "teacher": recipe.teacher.use,
        "options": recipe.teacher.options,
        "pretrain": table.model_dump(exclude=hidden) if table else None,
        "seed": recipe.seed,
        "arithmetic": arithmetic,
    }
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=10)
    for example in examples:
        digest.update(repr((example.source, example.target)).encode())
    return digest.hexdigest()


def _keep(folder: Path, cached: Path) -> None:
    """Put a teacher into the cache, unless another run has."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cached.parent / ".lock"):
        if not cached.exists():
            staging = cached.with_name(f".{cached.name}-{os.getpid()}")
            shutil.copytree(folder, staging)
            staging.rename(cached)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
