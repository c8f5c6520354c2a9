"""The teacher: loaded, or pretrained."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ..fields.bounds import Batch, Calls, Delay, Updates
from ..fields.paths import trouble
from .section import Section, Slot
from .training import PretrainOptimizer, PretrainValidation, RateSchedule


class Pretrain(Section):
    """Pretraining of a teacher, as part of the run."""

    #: Updates of the network.
    steps: Updates
    #: Examples per update.
    batch: Batch
    #: The optimizer, and above all its learning rate.
    optimizer: PretrainOptimizer
    #: Updates over which the learning rate rises from 0.
    warmup: Delay = 0
    #: The learning rate after the warm-up: constant, or linear decay to 0 at the end.
    schedule: RateSchedule = "linear"
    #: Decay rate, per update, of the moving average of the weights, which becomes the teacher.
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    #: How checkpoints are compared.
    validation: PretrainValidation = PretrainValidation()
    #: Network calls of a sample in validation.
    validation_steps: Calls = 20
    #: Steps between two entries of metrics.jsonl.
    log_every: Updates = 20
    #: Steps between two checkpoints, from which --resume continues.
    checkpoint_every: Updates = 500


def _path(text: str) -> str:
    if wrong := trouble(text):
        raise ValueError(f"expected a path or the name of a model, and {wrong}")
    return text


class TeacherSlot(Slot):
    """φ: loaded from ``path`` (a dlmone folder), or pretrained as ``pretrain`` says."""

    kind = "teachers"

    #: A trained teacher: a model folder, or the name of an installed model.
    path: Annotated[str, AfterValidator(_path)] | None = None
    #: How to pretrain one, where none is loaded.
    pretrain: Pretrain | None = None
