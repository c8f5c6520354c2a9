"""Make a student: its teacher's generator, of the size that a stage asks for."""

from __future__ import annotations

from collections.abc import Mapping

from dlmone.core import DiffusionGenerator, Teacher


def new_student(
    teacher: Teacher, t_init: float, unit_input: bool, size: Mapping[str, int]
) -> DiffusionGenerator:
    """Return a new student on the teacher's device.

    Args:
        teacher: φ.
        t_init: the time of the student's first call.
        unit_input: whether it reads z itself.
        size: ``layers`` and ``width``, where they are not the teacher's.

    Raises:
        InputError: the teacher makes no student of this size.
    """
    generator = teacher.new_generator(t_init, unit_input)
    if not size:
        return generator
    network = teacher.smaller_network(**size)
    return generator.with_network(network.to(next(teacher.parameters()).device))
