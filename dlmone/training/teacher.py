"""Provide the teacher: load it from a folder or the cache, or pretrain it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from dlmone.core import (
    Evaluator,
    Example,
    InputError,
    NoiseSchedule,
    Objective,
    SampledGenerator,
    Sampler,
    Teacher,
)
from dlmone.core.step.noise import seed_of
from dlmone.generation.readings import survey
from dlmone.models.card import teacher_card
from dlmone.models.configuration import read_config
from dlmone.models.folder import load_teacher, publish
from dlmone.models.resolve import model_folder
from dlmone.registry import Recipe, Registry
from dlmone.runtime.files import atomic_folder, reason_of, write_whole

from .loop import Intervals, Session, train
from .pretraining import Pretraining
from .stage_times import stage_spacing, stage_times
from .teacher_answers import check_parts
from .validation import INTERVAL, Validator


def prepare_teacher(
    session: Session,
    recipe: Recipe,
    train_split: Sequence[Example],
    valid_split: Sequence[Example],
    sampler: Sampler,
    evaluators: Mapping[str, Evaluator],
    check: Callable[[Teacher], None],
) -> Teacher:
    """Return φ on the compute device, or as `Compute.place_teacher` does, and save it in the run directory.

    ``check`` is called with the teacher, before pretraining if it is pretrained here, to refuse a recipe that
    it cannot serve.

    Raises:
        InputError: the recipe gives neither a path nor pretraining, or the folder cannot be loaded.
    """
    slot, run_dir = recipe.teacher, session.run_dir
    place = session.compute.place_teacher
    if slot.path:
        teacher = place(saved_teacher(recipe, session.registry))
        session.console.print(f"teacher: loaded from {slot.path}", highlight=False)
        _say_notes(session, teacher, train_split)
        check(teacher)
        return teacher
    folder = run_dir.path / "teacher"
    cached = cache_folder() / cache_key(session, recipe, train_split)
    if session.compute.world.main and not folder.exists() and cached.exists():
        if _is_whole(cached):
            session.console.print(f"teacher: taken from the cache, {cached}", highlight=False)
            _copy(cached, folder)
            run_dir.note_model("teacher", folder)
        else:
            what = "is incomplete or was altered, and is not used"
            session.console.print(f"the teacher in the cache, {cached}, {what}", highlight=False)
    # The processes of another machine may see the folder later: one decides for all.
    if session.compute.world.agree(folder.exists()):
        teacher = place(load_teacher(folder, session.registry))
        check(teacher)
        return teacher
    pretrained = pretrain(session, recipe, train_split, valid_split, sampler, evaluators, check)
    if session.compute.world.main:
        card = teacher_card(recipe, pretrained.space.conditional)
        publish(folder, pretrained, slot.use, "teacher", card)
        run_dir.note_model("teacher", folder)
        _keep(session, folder, cached)
    session.compute.world.wait()
    return place(load_teacher(folder, session.registry))


def saved_teacher(recipe: Recipe, registry: Registry) -> Teacher:
    """Load the teacher at a recipe's ``teacher.path``.

    Raises:
        MissingError: there is none on this machine.
        InputError: the folder is broken, or holds something else than a teacher of the recipe's family.
    """
    slot = recipe.teacher
    assert slot.path is not None
    source = model_folder(slot.path, registry)
    config = read_config(source)
    if (config["role"], config["teacher"]) != ("teacher", slot.use):
        raise InputError(
            f"teacher.path: {slot.path} holds a {config['role']} of the family {config['teacher']!r}, "
            f"where a teacher of the family {slot.use!r} was expected"
        )
    return load_teacher(source, registry)


def new_teacher(recipe: Recipe, registry: Registry, examples: Sequence[Example]) -> Teacher:
    """Build the teacher that a recipe pretrains.

    Raises:
        InputError: the recipe does not say how, or the options do not fit the data.
        PluginError: what the plugin builds is no teacher.
    """
    slot = recipe.teacher
    if slot.pretrain is None:
        raise InputError("teacher: give the path of a trained teacher, or a section teacher.pretrain")
    family = registry.load("teachers", slot.use, "teacher")
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    torch.manual_seed(seed_of((recipe.seed, "teacher")))
    teacher = family.build(options, examples)
    check_parts(teacher, family)
    return cast(Teacher, teacher)


def pretrain(
    session: Session,
    recipe: Recipe,
    train_split: Sequence[Example],
    valid_split: Sequence[Example],
    sampler: Sampler,
    evaluators: Mapping[str, Evaluator],
    check: Callable[[Teacher], None],
) -> Teacher:
    """Pretrain the recipe's teacher, or resume pretraining, and return its EMA."""
    slot, compute = recipe.teacher, session.compute
    config = slot.pretrain
    teacher = compute.place_teacher(new_teacher(recipe, session.registry, train_split))
    assert config is not None
    check(teacher)
    _say_notes(session, teacher, train_split)
    trainee = Pretraining(teacher, config, train_split, compute, recipe.seed)

    validator = Validator(
        config.validation, "teacher.pretrain", evaluators, valid_split, compute, recipe.seed
    )

    def validate(step: int) -> Mapping[str, float]:
        average = compute.place_teacher(compute.whole_copy(trainee.average))
        generator = SampledGenerator(compute.frozen(average.network), average.space, sampler)
        result = validator(generator, config.validation_steps)
        if result is None:
            return {}
        session.registry.notify("validation_sampled", stage="pretrain", step=step, samples=result.samples)
        return result.named | result.logged_interval

    intervals = Intervals(config.steps, config.log_every, config.validation.every, config.checkpoint_every)
    train(session, "pretrain", trainee, intervals, validate, {}, shown=(validator.metric, *INTERVAL))
    return compute.whole_copy(trainee.average)


def _say_notes(session: Session, teacher: Teacher, examples: Sequence[Example]) -> None:
    """Say what the teacher's rows don't keep of the training data."""
    for note in survey(teacher.space, examples).notes if session.compute.world.main else ():
        session.console.print(f"training data: {note}", highlight=False)


def check_times(
    recipe: Recipe,
    schedule: NoiseSchedule,
    objectives: Mapping[str, Mapping[str, Objective]],
    samplers: Mapping[str, Sampler],
) -> None:
    """Check the recipe's times against a teacher's schedule, before any training.

    Args:
        recipe: the recipe.
        schedule: the teacher's.
        objectives: those of each stage, by name.
        samplers: by their keys in the recipe.

    Raises:
        InputError: a time is outside the schedule, or a lower bound is not below its upper bound; the message
            names the key.
    """
    for key, sampler in samplers.items():
        with _at(key):
            sampler.check(schedule)
    for name, stage in recipe.stages.items():
        t_init, _ = stage_times(name, stage, schedule)
        stage_spacing(name, stage, schedule)
        for term, objective in objectives[name].items():
            with _at(f"stages.{name}.objectives.{term}"):
                objective.check(schedule, t_init)


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Prefix an error about an option with the key of its slot."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}.{error}") from None


def cache_folder() -> Path:
    """Return the cache of pretrained teachers: ``$DLMONE_CACHE``, else the user's cache folder."""
    root = os.environ.get("DLMONE_CACHE")
    return (Path(root) if root else user_cache_path("dlmone")) / "teachers"


def cache_key(session: Session, recipe: Recipe, examples: Sequence[Example]) -> str:
    """Hash all that a teacher's weights depend on: data, plugin, options, pretraining, seed, precision.

    Files that an option points at (e.g. a pretrained encoder) count by name only, and the number of threads,
    which changes the last bits of sums, does not count.
    """
    from dlmone import __version__

    slot, compute = recipe.teacher, session.compute
    plugin = session.registry.entry("teachers", slot.use)
    hidden = {"validation", "validation_steps", "log_every", "checkpoint_every"}
    facts: dict[str, Any] = {
        "version": [__version__, torch.__version__],
        "teacher": [slot.use, plugin.distribution, plugin.version],
        "options": slot.options,
        "pretrain": slot.pretrain.model_dump(exclude=hidden) if slot.pretrain else None,
        "seed": recipe.seed,
        # Dropout masks depend on the microbatch and the process.
        "precision": [compute.precision, compute.microbatch, compute.world.size, compute.compile],
    }
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=10)
    for example in examples:
        digest.update(repr((example.source, example.target)).encode())
    return digest.hexdigest()


def _keep(session: Session, folder: Path, cached: Path) -> None:
    """Put a teacher into the cache unless another run has done so. A failure only warns."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cached.parent / ".lock"):
            if not _is_whole(cached):
                _copy(folder, cached)
                write_whole(_hash_file(cached), _hash_of(cached))
    except OSError as error:
        session.console.print(f"the teacher could not be cached in {cached.parent} ({reason_of(error)})")


def _hash_file(cached: Path) -> Path:
    """Return where the hash of a cached teacher is, which is no part of the teacher."""
    return cached.with_name(f"{cached.name}.sha256")


def _is_whole(cached: Path) -> bool:
    """Tell whether a teacher in the cache is what was put there."""
    try:
        return _hash_of(cached) == _hash_file(cached).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _hash_of(folder: Path) -> str:
    """Hash the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy a folder, without links: a run's files are its owner's to edit, and the cache is for all runs."""
    with atomic_folder(target) as copy:
        shutil.copytree(source, copy, dirs_exist_ok=True)
