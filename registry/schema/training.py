"""What pretraining and stages share: optimizer and validation."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from ..fields.bounds import Calls, Delay, Updates
from .section import Examples, Section

RateSchedule = Literal["linear", "constant"]


class Optimizer(Section):
    """AdamW. The betas are the paper's for distillation (appendix B.1); pretraining has its own."""

    #: The learning rate, after warm-up and before decay.
    lr: PositiveFloat
    #: Decay rate of the moving average of gradients.
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.0
    #: Decay rate of the moving average of squared gradients.
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    #: Added to the denominator of an update.
    eps: PositiveFloat = 1e-8
    #: Decoupled weight decay: each update takes lr × this of the weights away.
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    #: Scale the gradient down to this norm where it is greater; off by default.
    clip_norm: PositiveFloat | None = None
    #: Clip each entry of the gradient to ± this value; off by default.
    clip_value: PositiveFloat | None = None


class StageOptimizer(Optimizer):
    """AdamW of a stage, with a linear warm-up and decay; both count the updates of the network it trains."""

    #: Updates over which the learning rate rises from 0.
    warmup: Delay = 0
    #: The learning rate after the warm-up: constant, or linear decay to 0 at the end.
    schedule: RateSchedule = "constant"


class PretrainOptimizer(Optimizer):
    """AdamW of pretraining; the teacher's plugin may bring optimizers of its own."""

    #: Decay rate of the moving average of gradients.
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9


class Validation(Section):
    """How checkpoints are compared to select the best one, on the first rows of the validation split."""

    #: Steps between two validations.
    every: Updates = 200
    #: How many of the first rows are sampled for; "all" is the whole split.
    examples: Examples = 200
    #: Candidates sampled for each row.
    candidates: Calls = 1
    #: The score that decides which checkpoint is best; the first one if none is named.
    metric: str | None = None
    #: Entries of evaluation.metrics to compute; if empty, all those for which so few candidates suffice.
    metrics: tuple[str, ...] = ()


class PretrainValidation(Validation):
    """How the teacher is scored along its training; its last average is kept, whatever the scores."""

    #: Steps between two validations.
    every: Updates = 1000
