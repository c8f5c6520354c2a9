"""Consistency distillation (Song et al. 2023): one call of θ leads where the teacher's ODE ends."""

from collections.abc import Sequence

from dlmone.core import (
    GENERATOR,
    Average,
    Gradient,
    NoiseSchedule,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.model.schedule import expand
from dlmone.core.step.losses import dsm_weight, masked_mean
from dlmone.core.step.request import Role

from .grid import Above, Below, grid
from .options import ConsistencyOptions


class Consistency(Objective):
    """γ(t_n)·‖G_θ(x_{t_n}, t_n) − sg(G_θ⁻(x̂_{t_{n−1}}, t_{n−1}))‖², n drawn evenly from 1 … N.

    x_t is noised real data, x̂_{t_{n−1}} one step of the teacher's ODE further down from x_{t_n}, and θ⁻ the
    moving average of θ. At t_1 the target is the data itself, which is the boundary condition: what θ says at
    t_1 is the end of the ODE's last step, E[e | x_{t_1}], and each time passes it up to the next.

    θ is trained at every time of the grid and not at t_init alone. So it can also sample in several
    re-noised calls, however many. No ψ is needed, and θ's own output is never computed.
    """

    def __init__(self, options: ConsistencyOptions) -> None:
        self.options = options
        target = Average("target", GENERATOR, options.rate)
        self.auxiliaries = (target,)
        self.above = Request(GENERATOR, Above(options), Gradient.PARAMETERS, exact=True)
        self.below = Request(target, Below(options, options.order), exact=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.above, self.below) if role == "generator" else None

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        grid(schedule, t_init, self.options)

    def generator_loss(self, step: StepContext) -> Term:
        space, (above, below) = step.space, (step.point(one.state) for one in (self.above, self.below))
        target = step[self.below].x0
        first_B = below.t_B == above.t_B
        target = target.where(~expand(first_B, target).bool(), step.e_real)
        schedule = space.schedule
        gamma_B = dsm_weight(self.options.weighting, schedule.alpha(above.t_B), schedule.sigma(above.t_B))
        error_B = masked_mean((step[self.above].x0 - target) ** 2, space.generated(step.real))
        return Term(gamma_B.to(error_B.dtype) * error_B, {})
