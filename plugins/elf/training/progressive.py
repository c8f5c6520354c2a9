"""ELF's progressive distillation: one step of θ for K Euler steps of the teacher; and the decoding mode."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Gradient,
    InputError,
    NoiseSchedule,
    Objective,
    Point,
    Request,
    State,
    StepContext,
    Term,
)
from dlmone.core.model.schedule import expand
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role

from ..samplers import euler
from ..schedule import ElfSchedule, logit_normal
from ..space import ElfSpace
from .loss import DECODER_MEAN, DECODER_STD, corrupted, cross_entropy, guidance_scale, noised
from .options import DecoderOptions, ProgressiveOptions

#: The share of samples whose student and teacher begin with an estimate of the teacher's.
CONDITIONED = 0.5


@dataclass(frozen=True, slots=True)
class Begin(State):
    """Real data noised to t_s = u·(1 − 1/N), u logit-normal, with a random scale of guidance."""

    steps: int

    def build(self, step: StepContext) -> Point:
        noise, space = step.real_noise, step.space
        t_B = logit_normal(noise.normal("t", ())) * max(1 - 1 / self.steps, 1e-6)
        z = space.pin(
            noised(step.e_real, t_B, noise.normal("noise", space.state_shape)), step.e_real, step.real
        )
        return Point(z, 1 - t_B.double(), step.real, guidance_B=guidance_scale(noise.uniform("scale")))


@dataclass(frozen=True, slots=True)
class Substep(State):
    """The teacher's state before its i-th of K Euler steps, with the estimate of the step before.

    Before the first, i = 0, where θ is called too, half of the samples have an estimate made from `Begin`.
    """

    options: ProgressiveOptions
    index: int = 0

    @property
    def before(self) -> Request:
        """The evaluation that gives the estimate."""
        if self.index:
            return Request(TEACHER, replace(self, index=self.index - 1), exact=True)
        return Request(TEACHER, Begin(self.options.steps), exact=True)

    @property
    def requests(self) -> tuple[Request, ...]:
        return (self.before,)

    def build(self, step: StepContext) -> Point:
        point, x = step.point(self.before.state), step[self.before].x0
        if not self.index:
            chosen_B = step.real_noise.uniform("self") < CONDITIONED
            return replace(point, previous=x * expand(chosen_B, x))
        return after(step, point, x, self.options, self.index)


def after(step: StepContext, point: Point, x: Tensor, options: ProgressiveOptions, index: int) -> Point:
    """Return where Euler step number ``index``, from 1, leads from ``point`` by the teacher's x̂ there."""
    times_BK = substep_times(step, options)
    z = euler(point.e_t, x, times_BK[:, index - 1], times_BK[:, index])
    z = step.space.pin(z, point.e_t, point.batch)
    return replace(point, e_t=z, t_B=1 - times_BK[:, index], previous=x)


def substep_times(step: StepContext, options: ProgressiveOptions) -> Tensor:
    """Return t_s + sorted logit-normal draws/N, both ends included, official times [B, K + 1] float64."""
    inner_BK = logit_normal(step.real_noise.normal("substeps", (options.substeps - 1,))).double()
    shares_BK = functional.pad(functional.pad(inner_BK.sort(dim=1).values, (1, 0)), (0, 1), value=1.0)
    t_B = 1 - step.point(Begin(options.steps)).t_B
    return t_B[:, None] + shares_BK / options.steps


class Progressive(Objective):
    """‖G_θ(z_s, t_s, w) − x*‖² with x* = z_s + (1 − t_s)·N·(z_K − z_s): a round to a student of N steps.

    z_s is noised real data, z_K where K Euler steps of the teacher lead from it in 1/N of the time.
    Officially N is 16, 8, 4, 2, 1 in five rounds, K·N is 64, and a fifth of the samples train the decoding
    mode instead: the objective `elf_decoder` beside this one, with weights of 0.2 and 0.8.
    """

    def __init__(self, options: ProgressiveOptions) -> None:
        self.options = options
        first, last = Substep(options), Substep(options, options.substeps - 1)
        self.student = Request(GENERATOR, first, Gradient.PARAMETERS, exact=True)
        self.teacher = Request(TEACHER, last, exact=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.student, self.teacher) if role == "generator" else None

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        require_elf(schedule)

    def target(self, step: StepContext) -> Tensor:
        """Return x*, [B, L, D]."""
        count = self.options.substeps
        last = after(step, step.point(self.teacher.state), step[self.teacher].x0, self.options, count)
        begin = step.point(self.student.state)
        return begin.e_t + expand(begin.t_B, last.e_t) * self.options.steps * (last.e_t - begin.e_t)

    def generator_loss(self, step: StepContext) -> Term:
        error_BLD = (step[self.student].x0 - self.target(step)) ** 2
        return Term(masked_mean(error_BLD, counted(step)[..., None]), {})


@dataclass(frozen=True, slots=True)
class Corrupted(State):
    """Real data to be decoded, noised as in the teacher's training, given positions too."""

    noise: float

    def build(self, step: StepContext) -> Point:
        noise, space = step.real_noise, step.space
        shape = space.state_shape
        signal_BL = logit_normal(noise.normal("signal", shape[:1]), DECODER_MEAN, DECODER_STD)
        e = corrupted(step.e_real, signal_BL, self.noise * noise.normal("decoder noise", shape))
        t_B = space.schedule.tensor(space.schedule.min_time, len(e), e.device)
        return Point(e, t_B, step.real, guidance_B=guidance_scale(noise.uniform("scale")))


class Decoder(Objective):
    """−log p(token) of θ's decoding mode, so that θ goes on reading tokens as it learns to make states.

    θ is its own decoder. An objective that trains it as a generator alone lets it forget how to read.
    """

    def __init__(self, options: DecoderOptions) -> None:
        self.read = Request(GENERATOR, Corrupted(options.noise), Gradient.PARAMETERS, tokens=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.read,) if role == "generator" else None

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        require_elf(schedule)

    def generator_loss(self, step: StepContext) -> Term:
        logits_BLV = step[self.read].logits_BLV
        assert logits_BLV is not None
        nll_BL = cross_entropy(logits_BLV, step.real.tokens_BL)
        return Term(masked_mean(nll_BL, counted(step)), {})


def counted(step: StepContext) -> Tensor:
    """Return which positions of the real batch a loss counts, [B, L] bool."""
    assert isinstance(step.space, ElfSpace)
    return step.space.counted(step.real)


def require_elf(schedule: NoiseSchedule) -> None:
    """Raise InputError unless a teacher is ELF."""
    if not isinstance(schedule, ElfSchedule):
        raise InputError("use: this objective is for ELF's teachers alone")
