"""Contract checks for plugin authors.

Each check takes an object of a plugin and raises AssertionError with a sentence that names the violated
contract. The built-in plugins pass the same checks. `ToyTeacher` is a teacher small enough for any test.
"""

from .contracts.augmenters import check_augmenter
from .contracts.data import check_data_source, check_sample_reader
from .contracts.evaluators import check_evaluator
from .contracts.generators import check_generator
from .contracts.objectives import check_objective
from .contracts.samplers import check_sampler
from .contracts.selectors import check_selector
from .contracts.spaces import check_space
from .contracts.teachers import check_teacher
from .contracts.trackers import check_tracker
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
