"""The student that a stage trains: as its recipe says, before its first update."""

from __future__ import annotations

from dlmone.core import DiffusionGenerator, Teacher
from dlmone.models.student import new_student
from dlmone.registry.schema import Stage

from .stage_times import stage_spacing, stage_times


def stage_student(name: str, stage: Stage, teacher: Teacher) -> DiffusionGenerator:
    """Return a new student of a stage's size, with the times of its calls, on the teacher's device.

    Raises:
        InputError: the teacher makes no student of this size, or a time lies outside its trained range.
    """
    t_init, _ = stage_times(name, stage, teacher.space.schedule)
    student = new_student(teacher, t_init, stage.unit_input, stage.student.given)
    student.spacing = stage_spacing(name, stage, teacher.space.schedule)
    return student
