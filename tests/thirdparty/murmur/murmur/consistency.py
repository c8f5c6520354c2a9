"""Consistency distillation (Song et al. 2023) of a guided teacher, with an EMA target."""

from collections.abc import Sequence
from dataclasses import dataclass

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Average,
    Gradient,
    Noised,
    Objective,
    Point,
    Request,
    State,
    StepContext,
    Term,
)
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role

from .options import ConsistencyOptions

REAL = Noised("real")


@dataclass(frozen=True, slots=True)
class Below(State):
    """Noised real data after one DDIM step of the guided teacher."""

    steps: int
    guidance: float

    @property
    def requests(self) -> tuple[Request, ...]:
        return (Request(TEACHER, REAL, guidance=self.guidance),)

    def build(self, step: StepContext) -> Point:
        schedule, above = step.space.schedule, step.point(REAL)
        s_B = (above.t_B - (above.t_B - schedule.min_time) / self.steps).to(above.t_B.dtype)
        e_s = ddim_step(schedule, step[self.requests[0]].x0, above.e_t, above.t_B, s_B)
        return Point(step.space.pin(e_s, above.e_t, above.batch), s_B, above.batch)


class Consistency(Objective):
    """‖G_θ(x_t, t) − G_θ⁻(x_s, s)‖²: θ⁻ is the average of θ, and x_s one step of the teacher's ODE down."""

    def __init__(self, options: ConsistencyOptions) -> None:
        target = Average("target", GENERATOR, options.rate)
        self.auxiliaries = (target,)
        self.above = Request(GENERATOR, REAL, Gradient.PARAMETERS, exact=True)
        self.below = Request(target, Below(options.steps, options.guidance), exact=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.above, self.below) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        mask = step.space.generated(step.real)
        loss_B = masked_mean((step[self.above].x0 - step[self.below].x0) ** 2, mask)
        return Term(loss_B, {"distance": loss_B.detach()})
