"""What a plugin of each kind promises, one file a kind."""

from .augmenters import check_augmenter
from .data import check_data_source, check_sample_reader
from .evaluators import check_evaluator
from .generators import check_generator
from .objectives import check_objective
from .samplers import check_sampler
from .selectors import check_selector
from .spaces import check_space
from .teachers import check_teacher
from .trackers import check_tracker

__all__ = [
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
]
