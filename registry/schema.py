"""Define the schema of a TOML recipe, with all defaults.

Paper symbols stand next to the keys they set. docs/choices.md gives the reason for each default where the
paper is silent, and says which of these choices no key changes.
"""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from .bounds import Batch, Calls, Delay, Threads, Updates
from .names import folder_name
from .paths import trouble
from .shape import switched_off
from .times import Spacing, Time

#: Names of folders and log stages that a run uses itself; stages cannot have them.
RESERVED = ("pretrain", "teacher", "student", "samples", "report", "final")
#: What a logged value's name begins with where no term does: losses, gradient norms, scores, their interval.
LOGGED = ("generator", "estimator", "gradient", "raw", "ema", "interval")
#: Values of a stage's ``start`` that are no saved student.
STARTS = ("teacher", "previous")


class Part(BaseModel):
    """A section of a recipe. ``false`` switches an optional value off (``clip_norm = false``)."""

    @model_validator(mode="before")
    @classmethod
    def _switch_off(cls, section: Any) -> Any:
        return switched_off(cls, section)


class Section(Part):
    """A section that accepts known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Slot(Part):
    """A section that names a plugin with ``use``; other unknown keys are the plugin's options."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    #: The kind of plugin required here, as in the hook ``register_<kind>``.
    kind: ClassVar[str]

    use: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _examples(value: Any) -> Any:
    if value == "all":
        return None
    if isinstance(value, str):
        raise ValueError('expected a number of examples, or "all"')
    return value


#: A number of examples from the start of a split; None, in a recipe "all", is the whole split.
Examples = Annotated[
    PositiveInt | None,
    BeforeValidator(_examples),
    PlainSerializer(lambda examples: "all" if examples is None else examples, when_used="json"),
]


class Optimizer(Section):
    """AdamW. The betas are the paper's for distillation (appendix B.1); pretraining has its own."""

    lr: PositiveFloat
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.0
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: PositiveFloat | None = None
    clip_value: PositiveFloat | None = None


RateSchedule = Literal["linear", "constant"]


class StageOptimizer(Optimizer):
    """AdamW of a stage, with a linear warm-up and decay; both count the updates of the network it trains."""

    warmup: Delay = 0
    schedule: RateSchedule = "constant"


class PretrainOptimizer(Optimizer):
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9


class Validation(Section):
    """How checkpoints are compared to select the best one, on the first ``examples`` of the validation split.

    ``candidates`` are sampled for each. ``metric`` is the score that decides, the first one if none is
    named. ``metrics`` names the entries of ``evaluation.metrics`` that are computed at every validation; if
    empty, all those for which so few candidates suffice.
    """

    every: Updates = 200
    examples: Examples = 200
    candidates: Calls = 1
    metric: str | None = None
    metrics: tuple[str, ...] = ()


class PretrainValidation(Validation):
    every: Updates = 1000


class Pretrain(Section):
    """Pretraining of a teacher, as part of the run."""

    steps: Updates
    batch: Batch
    optimizer: PretrainOptimizer
    warmup: Delay = 0
    schedule: RateSchedule = "linear"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    validation: PretrainValidation = PretrainValidation()
    validation_steps: Calls = 20
    log_every: Updates = 20
    checkpoint_every: Updates = 500


class DataSlot(Slot):
    """The source of the examples."""

    kind = "data"


def _path(text: str) -> str:
    if wrong := trouble(text):
        raise ValueError(f"expected a path or the name of a model, and {wrong}")
    return text


class TeacherSlot(Slot):
    """φ: loaded from ``path`` (a dlmone folder), or pretrained as ``pretrain`` says."""

    kind = "teachers"

    path: Annotated[str, AfterValidator(_path)] | None = None
    pretrain: Pretrain | None = None


class ObjectiveSlot(Slot):
    """One loss term with its weights in the two updates (Table 5).

    ``generator_weight`` is a_sd^g or b_adv^g, ``estimator_weight`` a_dsm^sg or b_adv^sg.
    """

    kind = "objectives"

    generator_weight: Annotated[float, Field(ge=0)] = 1.0
    estimator_weight: Annotated[float, Field(ge=0)] = 1.0
    #: The term enters θ's loss after this many steps (SiDA starts its adversarial term late).
    generator_start: Delay = 0


class Ema(Section):
    """EMA of θ: half-life in samples, early on ``ramp`` × the samples of θ's updates so far (SiD)."""

    half_life: PositiveFloat = 50_000
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

    mean: float
    std: PositiveFloat


class StudentSize(Section):
    """The size of a student that is smaller than its teacher, whose first weights it copies."""

    layers: PositiveInt | None = None
    width: PositiveInt | None = None

    @property
    def given(self) -> dict[str, int]:
        """What differs from the teacher's."""
        return self.model_dump(exclude_none=True)


class Stage(Section):
    """One stage of distillation (Algorithm 1, section 3.3)."""

    steps: Updates
    objectives: Annotated[dict[TermName, ObjectiveSlot], Field(min_length=1)]
    generator: StageOptimizer
    #: A stage whose objectives train no ψ needs none; the paper's rate otherwise.
    estimator: StageOptimizer = StageOptimizer(lr=1e-5)
    batch: Batch = 256
    t_min: Time = Time(quantile=0.0)
    t_max: Time = Time(quantile=1.0)
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
    weights: Literal["ema", "raw"] = "ema"
    #: Each role's distribution of t; uniform on [t_min, t_max) by default (SiD: ψ at −1.2 and 1.2).
    generator_times: LogNormal | None = None
    estimator_times: LogNormal | None = None
    estimator_steps: Calls = 1
    estimator_warmup: Delay = 0
    #: θ's update uses a moving average of ψ over about 1/(1 − rate) updates, which is less noisy than ψ.
    estimator_average: Annotated[float, Field(gt=0, lt=1)] | None = None
    shared_noise: bool = False
    shared_draw: bool = False
    #: Whether dropout is active in a network's own update; in the other's it never is.
    generator_dropout: bool = True
    estimator_dropout: bool = True
    ema: Ema = Ema()
    validation: Validation = Validation()
    log_every: Updates = 20
    checkpoint_every: Updates = 200
    keep_checkpoints: Updates = 2

    @model_validator(mode="after")
    def _trains_the_generator(self) -> Self:
        if self.estimator_warmup >= self.steps:
            raise ValueError(
                f"in its {self.steps} steps θ has no update, as estimator_warmup is {self.estimator_warmup}: "
                "lower that, or raise steps"
            )
        return self


class SamplerSlot(Slot):
    """The sampler of a teacher, in several steps."""

    kind = "samplers"


class GeneratorSlot(Slot):
    """An external text generator, as a baseline."""

    kind = "generators"


class EvaluatorSlot(Slot):
    """One family of scores."""

    kind = "evaluators"


class AugmenterSlot(Slot):
    """The augmenter that varies conditions before generation."""

    kind = "augmenters"


class SelectorSlot(Slot):
    """The selector of one of several candidates."""

    kind = "selectors"


class TrackerSlot(Slot):
    """A tool that follows the run."""

    kind = "trackers"


class ExporterSlot(Slot):
    """The format that a student's graph is written in."""

    kind = "exporters"


class SelectionSlot(SelectorSlot):
    """Also score the candidate selected among the first ``k``, by default among all."""

    k: Annotated[tuple[Calls, ...], Field(min_length=1)] | None = None


class Variant(Section):
    """The last student, or the teacher, with its own inference settings.

    By default ``steps`` is 1 for the student and the last of ``teacher_steps`` for the teacher; the sampler
    is re-noising for the student and ``teacher_sampler`` for the teacher.
    """

    of: Literal["student", "teacher"] = "student"
    steps: Calls | None = None
    sampler: SamplerSlot | None = None
    augment: AugmenterSlot | None = None


def _in_order(section: Any, key: str, order_key: str) -> Any:
    """Return a section whose parts under ``key`` begin with those that ``order_key`` lists."""
    order, parts = section.get(order_key), section.get(key)
    if not (isinstance(order, (list, tuple)) and isinstance(parts, dict)):
        return section
    # A part removed by an ablation may still be listed in the file; it is not listed in a resolved recipe.
    listed = [name for name in order if name in parts]
    return {**section, key: {name: parts[name] for name in listed} | parts, order_key: listed}


def _variant_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        raise ValueError("expected a name of letters, digits and _.+-, which becomes part of a file's")
    return name


VariantName = Annotated[str, AfterValidator(_variant_name), AfterValidator(folder_name)]


class Evaluation(Section):
    """The final evaluation of student and teacher on the test split.

    Besides the plain rows (the teacher and the last student at numbers of steps, earlier students at one)
    there is one for each of ``variants``, and of every row one for each choice of ``select``.
    """

    examples: Examples = None
    candidates: Calls = 3
    teacher_steps: tuple[Calls, ...] = (1, 2, 4, 20, 100)
    student_steps: tuple[Calls, ...] = (1, 2, 4)
    teacher_sampler: SamplerSlot
    variants: dict[VariantName, Variant] = {}
    select: dict[str, SelectionSlot] = {}
    batch: Batch = 64
    metrics: dict[str, EvaluatorSlot]
    #: Metrics that come before the others, which follow in the order of their sections. Tables list scores
    #: in this order, and a report takes the first of quality and of diversity for its headline.
    metric_order: tuple[str, ...] = ()
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, section: Any) -> Any:
        return _in_order(section, "metrics", "metric_order")


class Compute(Section):
    """Device, precision, threads and microbatch."""

    device: str = "auto"
    #: ``bfloat16`` is autocast, but for the difference of φ and ψ in θ's update, which is float32 always.
    #: ``auto`` is bfloat16 where the device multiplies it faster.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Threads | None = None
    microbatch: Batch | None = None
    non_finite_limit: Updates = 100


def _stage_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError("expected a name of letters, digits, _ and -, which becomes a folder's")
    if name in RESERVED:
        raise ValueError(f"expected a name that a run does not use itself ({', '.join(RESERVED)})")
    return name


StageName = Annotated[str, AfterValidator(_stage_name), AfterValidator(folder_name)]


class Recipe(Section):
    """A whole run: data, teacher, stages, evaluation."""

    name: Annotated[str, AfterValidator(folder_name)]
    description: str = ""
    note: str = ""
    seed: int = 0
    data: DataSlot
    teacher: TeacherSlot
    stages: dict[StageName, Stage] = {}
    #: Stages that run before the others, which follow in the order of their sections.
    stage_order: tuple[str, ...] = ()
    evaluation: Evaluation
    compute: Compute = Compute()
    #: Tools that follow the run. They change nothing in it, and may differ when it is resumed.
    trackers: dict[str, TrackerSlot] = {}

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, section: Any) -> Any:
        return _in_order(section, "stages", "stage_order")
