"""One stage of distillation."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from ..fields.bounds import Batch, Calls, Delay, Updates
from ..fields.names import folder_name
from ..fields.times import Spacing, Time
from .section import Section, Slot
from .training import StageOptimizer, Validation

#: Names of folders and log stages that a run uses itself; stages cannot have them.
RESERVED = ("pretrain", "teacher", "student", "samples", "report", "final")
#: What a logged value's name begins with where no term does: losses, gradient norms, scores, their interval.
LOGGED = ("generator", "estimator", "gradient", "raw", "ema", "interval")
#: Values of a stage's ``start`` that are no saved student.
STARTS = ("teacher", "previous")


class ObjectiveSlot(Slot):
    """One loss term with its weights in the two updates (Table 5).

    ``generator_weight`` is a_sd^g or b_adv^g, ``estimator_weight`` a_dsm^sg or b_adv^sg.
    """

    kind = "objectives"

    #: Weight of the term in θ's loss; 0 leaves it out.
    generator_weight: Annotated[float, Field(ge=0)] = 1.0
    #: Weight of the term in ψ's loss; 0 leaves it out.
    estimator_weight: Annotated[float, Field(ge=0)] = 1.0
    #: The term enters θ's loss after this many steps (SiDA starts its adversarial term late).
    generator_start: Delay = 0


class Ema(Section):
    """EMA of θ: half-life in samples, early on ``ramp`` × the samples of θ's updates so far (SiD)."""

    #: Half-life of the average, in samples.
    half_life: PositiveFloat = 50_000
    #: Early on the half-life is this share of the samples seen so far (SiD); false switches that off.
    ramp: PositiveFloat | None = 0.05


def _term_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError("expected a name of letters, digits and _.-, which becomes a part of logged names")
    if name in LOGGED:
        raise ValueError(f"expected a name that the log does not use itself ({', '.join(LOGGED)})")
    return name


TermName = Annotated[str, AfterValidator(_term_name)]


class LogNormal(Section):
    """log(σ/α) ~ N(mean, std²), kept within [t_min, t_max] (EDM)."""

    #: Mean of log(σ/α).
    mean: float
    #: Standard deviation of log(σ/α).
    std: PositiveFloat


class StudentSize(Section):
    """The size of a student that is smaller than its teacher, whose first weights it copies."""

    #: How many of the teacher's first layers the student has.
    layers: Annotated[int, Field(gt=0, le=1_000)] | None = None
    #: The student's width, narrower than the teacher's.
    width: Annotated[int, Field(gt=0, le=100_000)] | None = None

    @property
    def given(self) -> dict[str, int]:
        """What differs from the teacher's."""
        return self.model_dump(exclude_none=True)


class Stage(Section):
    """One stage of distillation (Algorithm 1, section 3.3)."""

    #: Iterations of the stage; each updates ψ and then θ.
    steps: Updates
    #: The loss terms by name, at least one.
    objectives: Annotated[dict[TermName, ObjectiveSlot], Field(min_length=1)]
    #: θ's optimizer, and above all its learning rate.
    generator: StageOptimizer
    #: ψ's optimizer; a stage whose objectives train no ψ needs none. By default at the paper's learning rate.
    estimator: StageOptimizer = StageOptimizer(lr=1e-5)
    #: Examples per update, of all processes together.
    batch: Batch = 256
    #: The lowest training time t.
    t_min: Time = Time(quantile=0.0)
    #: The end of the training times t.
    t_max: Time = Time(quantile=1.0)
    #: The time of θ's first network call, whose noise level scales its input.
    t_init: Time
    #: θ's first layers, and a narrower width; the teacher's by default.
    student: StudentSize = StudentSize()
    #: Use z itself as θ's input, as DiffuSeq's sampler does, instead of SiD's σ(t_init)·z.
    unit_input: bool = False
    #: K: θ is trained to sample in this many re-noised network calls (at Table 4's times); 1 is the paper's.
    calls: Calls = 1
    #: How the K calls are spread from t_init down: evenly in "time", "ratio" or "log_snr", or the times of
    #: the later ones.
    spacing: Spacing = "time"
    #: Which of the K outputs is trained: that of a random k ~ U{1..K} per update, or always the last.
    matching: Literal["uniform", "last"] = "uniform"
    #: Where θ starts: from the teacher, from the best student of the previous stage, or from a saved student
    #: (a model folder, a run directory, or the name of an installed model).
    start: Annotated[str, Field(min_length=1)] = "previous"
    #: Which weights of θ are validated and saved as the student: their moving average, or as they are.
    weights: Literal["ema", "raw"] = "ema"
    #: Distribution of t in θ's update; uniform on [t_min, t_max) by default (SiD: ψ at −1.2 and 1.2).
    generator_times: LogNormal | None = None
    #: Distribution of t in ψ's update, as generator_times.
    estimator_times: LogNormal | None = None
    #: Updates of ψ for each update of θ.
    estimator_steps: Calls = 1
    #: Iterations at the start in which ψ alone is updated.
    estimator_warmup: Delay = 0
    #: θ's update uses a moving average of ψ over about 1/(1 − rate) updates, which is less noisy than ψ.
    estimator_average: Annotated[float, Field(gt=0, lt=1)] | None = None
    #: Whether real and generated examples of an update get the same noise ε.
    shared_noise: bool = False
    #: Whether θ's update reads the conditions and the noise of ψ's last update, instead of new ones.
    shared_draw: bool = False
    #: Whether dropout is active in θ's own update; in ψ's it never is.
    generator_dropout: bool = True
    #: Whether dropout is active in ψ's own update; in θ's it never is.
    estimator_dropout: bool = True
    #: The moving average of θ's weights.
    ema: Ema = Ema()
    #: How checkpoints are compared.
    validation: Validation = Validation()
    #: Steps between two entries of metrics.jsonl.
    log_every: Updates = 20
    #: Steps between two checkpoints, from which --resume continues.
    checkpoint_every: Updates = 200
    #: How many of the newest checkpoints are kept.
    keep_checkpoints: Updates = 2

    @model_validator(mode="after")
    def _trains_the_generator(self) -> Self:
        if self.estimator_warmup >= self.steps:
            raise ValueError(
                f"in its {self.steps} steps θ has no update, as estimator_warmup is {self.estimator_warmup}: "
                "lower that, or raise steps"
            )
        return self


def _stage_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError("expected a name of letters, digits, _ and -, which becomes a folder's")
    if name in RESERVED:
        raise ValueError(f"expected a name that a run does not use itself ({', '.join(RESERVED)})")
    return name


StageName = Annotated[str, AfterValidator(_stage_name), AfterValidator(folder_name)]
