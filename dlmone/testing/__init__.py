"""Contract checks for plugin authors.

Each check takes an object of a plugin and raises AssertionError with a sentence that names the violated
contract. The built-in plugins pass the same checks. `ToyTeacher` is a teacher small enough for any test.
"""

from .contracts import (
    check_augmenter,
    check_data_source,
    check_evaluator,
    check_generator,
    check_objective,
    check_sample_reader,
    check_sampler,
    check_selector,
    check_space,
    check_teacher,
    check_tracker,
)
from .steps import new_step
from .toy import ToyOptions, ToyTeacher, toy_teacher
from .watched import Watched

__all__ = [
    "ToyOptions",
    "ToyTeacher",
    "Watched",
    "check_augmenter",
    "check_data_source",
    "check_evaluator",
    "check_generator",
    "check_objective",
    "check_sample_reader",
    "check_sampler",
    "check_selector",
    "check_space",
    "check_teacher",
    "check_tracker",
    "new_step",
    "toy_teacher",
]
