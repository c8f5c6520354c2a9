"""Start a stage from a saved student: find it, and refuse one that does not fit the run's teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from dlmone.core import DiffusionGenerator, InputError, NoiseSchedule, Teacher
from dlmone.models.configuration import read_config
from dlmone.models.folder import load_student, read_assets
from dlmone.models.resolve import model_folder
from dlmone.models.student import new_student
from dlmone.registry import Recipe, Registry
from dlmone.registry.explain import nearest
from dlmone.registry.schema import STARTS

#: `dlmone export` rounds weights to bfloat16: by at most one part in 256.
ROUNDING = 2.0**-8
#: Quantiles of the trained range at which two schedules are compared.
QUANTILES = tuple(i / 16 for i in range(17))


def saved_starts(recipe: Recipe, registry: Registry) -> dict[str, Path]:
    """Return the folders of the saved students that stages start from, by stage.

    Raises:
        InputError: there is no such student, it is a teacher, or its teacher is of another family.
    """
    starts: dict[str, Path] = {}
    for name, stage in recipe.stages.items():
        if stage.start in STARTS:
            continue
        with _at(name):
            folder = _folder(stage.start, registry)
            config = read_config(folder)
            if config["role"] != "student":
                raise InputError(f"{stage.start} holds a {config['role']}, where a student was expected")
            if config["teacher"] != recipe.teacher.use:
                raise InputError(
                    f"{stage.start} is a student of the family {config['teacher']!r}, where one of the "
                    f"family {recipe.teacher.use!r} was expected"
                )
            starts[name] = folder
    return starts


def check_sizes(recipe: Recipe, teacher: Teacher) -> None:
    """Check that the teacher makes students of the stages' sizes, before any training.

    Raises:
        InputError: it does not, or a stage starts from the student of another size before it.
    """
    before = None
    for name, stage in recipe.stages.items():
        if stage.student.given:
            try:
                teacher.smaller_network(**stage.student.given)
            except InputError as error:
                raise InputError(f"stages.{name}.student: {error}") from None
        if before and stage.start == "previous" and recipe.stages[before].student != stage.student:
            raise InputError(
                f"stages.{name}.student: the stage starts from the student of {before}, which has another "
                'size; give both the same, or set start = "teacher"'
            )
        before = name


def check_starts(starts: Mapping[str, Path], recipe: Recipe, teacher: Teacher, registry: Registry) -> None:
    """Check that saved students can go on under a teacher, before any training.

    Args:
        starts: from `saved_starts`.
        recipe: has the students' sizes.
        teacher: the run's. If it is yet to be pretrained, its space must be known already.
        registry: loads the students through their teacher's plugin.

    Raises:
        InputError: a student's network, tokenizer, schedule or embedding is not that of the teacher.
    """
    for name, folder in starts.items():
        with _at(name):
            check_fits(load_student(folder, registry), folder, teacher, recipe.stages[name].student.given)


def _folder(start: str, registry: Registry) -> Path:
    try:
        return model_folder(start, registry)
    except InputError as error:
        expected = " or ".join(f'"{one}"' for one in STARTS)
        raise InputError(f"expected {expected} or a saved student; {error}{nearest(start, STARTS)}") from None


def check_fits(student: DiffusionGenerator, folder: Path, teacher: Teacher, size: Mapping[str, int]) -> None:
    """Check that a student can go on under a teacher.

    Args:
        student: the student.
        folder: where it lies.
        teacher: the run's.
        size: the student's, where it is not the teacher's.

    Raises:
        InputError: its network, tokenizer, schedule or embedding is not that of the teacher.
    """
    own = new_student(teacher, student.t_init, student.unit_input, size)
    if student.network.second_time:
        own.network.add_second_time()
    shapes, wanted = (
        {key: list(value.shape) for key, value in one.network.state_dict().items()} for one in (student, own)
    )
    for key in sorted(shapes.keys() | wanted.keys()):
        if shapes.get(key) != wanted.get(key):
            there, here = (found.get(key, "absent") for found in (shapes, wanted))
            raise InputError(
                f"{folder} does not fit a student of this teacher: {key} is {there} there and {here} here"
            )
    theirs, ours = read_assets(folder), teacher.assets()
    if differing := sorted(name for name in ours if theirs.get(name) != ours[name]):
        raise InputError(f"{folder} is a student of another teacher: its {differing[0]} differs")
    if not _alike(student.space.schedule, teacher.space.schedule):
        raise InputError(f"{folder} is a student of another teacher: its noise schedule differs")
    if any(parameter.requires_grad for parameter in teacher.space.parameters()):
        raise InputError(
            f"{folder} generates in the space of its own teacher, and a teacher pretrained in this run would "
            "have another one; give the folder of the student's teacher as teacher.path"
        )
    tensors = teacher.space.state_dict()
    for key, value in student.space.state_dict().items():
        same = key in tensors and value.shape == tensors[key].shape
        if not (same and torch.allclose(value, tensors[key].to(value), rtol=ROUNDING, atol=1e-6)):
            raise InputError(f"{folder} is a student of another teacher: its space's {key} differs")


def _alike(one: NoiseSchedule, other: NoiseSchedule) -> bool:
    """Tell whether two schedules have the same times, α, σ and network times."""
    if one.discrete is not other.discrete:
        return False
    times = [torch.tensor([s.time_of_quantile(q) for q in QUANTILES]).double() for s in (one, other)]
    first, second = (
        torch.stack([t, s.alpha(t), s.sigma(t), s.network_time(t).double()])
        for s, t in zip((one, other), times, strict=True)
    )
    return torch.allclose(first, second, rtol=ROUNDING, atol=1e-6)


@contextmanager
def _at(name: str) -> Iterator[None]:
    """Prefix an error with the key of its stage."""
    try:
        yield
    except InputError as error:
        raise InputError(f"stages.{name}.start: {error}") from None
