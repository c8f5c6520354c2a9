"""Define the schema of a TOML recipe, with all defaults.

Paper symbols stand next to the keys they set. docs/choices.md gives the reason for each default where the
paper is silent, and says which of these choices no key changes.
"""

from .evaluation import Evaluation, SelectionSlot, Variant
from .recipe import Compute, Recipe
from .section import Part, Section, Slot
from .slots import (
    AugmenterSlot,
    DataSlot,
    EvaluatorSlot,
    ExporterSlot,
    GeneratorSlot,
    SamplerSlot,
    SelectorSlot,
    TrackerSlot,
)
from .stage import RESERVED, STARTS, Ema, LogNormal, ObjectiveSlot, Stage, StudentSize
from .teacher import Pretrain, TeacherSlot
from .training import Optimizer, PretrainOptimizer, RateSchedule, StageOptimizer, Validation

__all__ = [
    "RESERVED",
    "STARTS",
    "AugmenterSlot",
    "Compute",
    "DataSlot",
    "Ema",
    "Evaluation",
    "EvaluatorSlot",
    "ExporterSlot",
    "GeneratorSlot",
    "LogNormal",
    "ObjectiveSlot",
    "Optimizer",
    "Part",
    "Pretrain",
    "PretrainOptimizer",
    "RateSchedule",
    "Recipe",
    "SamplerSlot",
    "Section",
    "SelectionSlot",
    "SelectorSlot",
    "Slot",
    "Stage",
    "StageOptimizer",
    "StudentSize",
    "TeacherSlot",
    "TrackerSlot",
    "Validation",
    "Variant",
]
