"""Progressive distillation (Salimans and Ho 2022): each stage halves the number of sampling steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlmone.core import (
    GENERATOR,
    START,
    Gradient,
    NoiseSchedule,
    Objective,
    Point,
    Request,
    State,
    StepContext,
    Term,
)
from dlmone.core.model.schedule import expand
from dlmone.core.sampling.ddim import ddim_step, sampling_times
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.registry import spacing_on

from .options import ProgressiveOptions


def round_times(schedule: NoiseSchedule, top: float, options: ProgressiveOptions) -> list[float]:
    """Return the 2·steps times of the old sampler from ``top`` down; every other is one of the new one's.

    Raises:
        InputError: the schedule does not have so many, or the spacing does not fit it.
    """
    spacing = spacing_on(options.spacing, schedule, "spacing")
    return sampling_times(schedule, top, 2 * options.steps, spacing=spacing)


@dataclass(frozen=True, slots=True)
class Above(State):
    """Real data noised to a time at which θ will be called, drawn evenly."""

    options: ProgressiveOptions

    def build(self, step: StepContext) -> Point:
        space, real = step.space, step.real
        t_B, _, _ = along(step, self.options)
        epsilon = step.real_noise.normal("epsilon", space.state_shape)
        e_t = space.schedule.diffuse(step.e_real, t_B, epsilon)
        return Point(space.pin(e_t, step.e_real, real), t_B, real)


@dataclass(frozen=True, slots=True)
class Middle(State):
    """Where the first DDIM step of the former θ leads from `Above`."""

    options: ProgressiveOptions

    @property
    def requests(self) -> tuple[Request, ...]:
        return (Request(START, Above(self.options)),)

    def build(self, step: StepContext) -> Point:
        above = step.point(Above(self.options))
        _, middle_B, _ = along(step, self.options)
        e_m = ddim_step(step.space.schedule, step[self.requests[0]].x0, above.e_t, above.t_B, middle_B)
        return Point(step.space.pin(e_m, above.e_t, above.batch), middle_B, above.batch)


def along(step: StepContext, options: ProgressiveOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Return t, t' and t'' of each sample; after θ's last time, where the clean state is next, t'' is t'."""
    schedule, steps = step.space.schedule, options.steps
    times = round_times(schedule, step.generator.t_init, options)
    times_N = schedule.tensors(times, step.fake.tokens_BL.device)
    first_B = 2 * (step.real_noise.uniform("grid") * steps).long().clamp(max=steps - 1)
    last_B = (first_B + 2).clamp(max=2 * steps - 1)
    return times_N[first_B], times_N[first_B + 1], times_N[last_B]


class Progressive(Objective):
    """max(α_t²/σ_t², 1)·‖G_θ(z_t, t) − x̃‖²: x̃ is what leads from z_t to z_{t''} in one DDIM step.

    z_t is noised real data. θ as its stage began makes two DDIM steps, from z_t to z_{t'} and on to z_{t''}.
    Then x̃ = (z_{t''} − (σ_{t''}/σ_t)·z_t)/(α_{t''} − (σ_{t''}/σ_t)·α_t). From the last time the second step
    ends in the clean state, and x̃ is its x0.

    With t_init for the first time, θ's sampler is then DDIM's of ``steps`` steps with this ``spacing``
    (without rounding).
    """

    def __init__(self, options: ProgressiveOptions) -> None:
        self.options = options
        self.above = Request(GENERATOR, Above(options), Gradient.PARAMETERS, exact=True)
        self.middle = Request(START, Middle(options), exact=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.above, self.middle) if role == "generator" else None

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        round_times(schedule, t_init, self.options)

    def generator_loss(self, step: StepContext) -> Term:
        space, schedule = step.space, step.space.schedule
        above, middle, x0 = step.point(self.above.state), step.point(self.middle.state), step[self.middle].x0
        _, _, last_B = along(step, self.options)
        z = ddim_step(schedule, x0, middle.e_t, middle.t_B, last_B)
        ratio_B = schedule.sigma(last_B) / schedule.sigma(above.t_B)
        scale_B = schedule.alpha(last_B) - ratio_B * schedule.alpha(above.t_B)
        target = (z - expand(ratio_B, z) * above.e_t) / expand(scale_B, z)
        clean_B = last_B == middle.t_B
        target = torch.where(expand(clean_B, z).bool(), x0, target)
        error_B = masked_mean((step[self.above].x0 - target) ** 2, space.generated(step.real))
        if self.options.weighting == "truncated_snr":
            error_B = (schedule.ratio(above.t_B) ** -2).clamp(min=1).to(error_B.dtype) * error_B
        return Term(error_B, {})
