"""Flow-map distillation (Boffi et al. 2024, 2025; FMLM): one call of θ for any stretch of φ's ODE."""

from collections.abc import Sequence

import torch

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
from dlmone.core.sampling.flow_map import remaining
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role

from .options import FlowMapOptions
from .states import From, Middle, grid, mean_of, ode_step, times_of, ways


class FlowMap(Objective):
    """‖f_θ(x_t, t, s) − f*‖²: the map from t to s is the one from t to u and then the one from u to s.

    x_t is noised real data and X_{t→s}(x_t) = α_s·f + σ_s·(x_t − α_t·f)/σ_t the map
    (`dlmone.core.sampling.flow_map`).
    With r = λ_s/λ_t the two parts make one of x0 predictions too:

        f* = (r_2·(1 − r_1)·f_1 + (1 − r_2)·f_2)/(1 − r),   r_1 = λ_u/λ_t,  r_2 = λ_s/λ_u,  r = r_1·r_2.

    Each part is φ's, one step of its ODE, or the map's own, from θ's average θ⁻:

        lagrangian    f_1 = f_θ⁻(x_t, t, u)     f_2 = φ(X_{t→u}(x_t), u)      u one step above s
        eulerian      f_1 = φ(x_t, t)           f_2 = f_θ⁻(x_u, u, s)         u one step below t
        progressive   f_1 = f_θ⁻(x_t, t, u)     f_2 = f_θ⁻(x_u, u, s)         u between

    Where the way is one step of the grid or none, all of it is φ's. As the steps get short the first two
    are Boffi et al.'s conditions ∂_s X_{t→s}(x) = b_s(X_{t→s}(x)) and d/dt X_{t→s}(x_t) = 0 along the ODE, of
    which the second is MeanFlow's identity.

    θ takes a second time, and samples in any number of calls by jumping down its times.
    """

    def __init__(self, options: FlowMapOptions) -> None:
        self.options = options
        target = Average("target", GENERATOR, options.rate)
        self.auxiliaries = (target,)
        whole, part = From(options, "last"), From(options, "middle")
        middle = Middle(options, None if options.loss == "eulerian" else target)
        self.map = Request(GENERATOR, whole, Gradient.PARAMETERS, exact=True)
        self.first: tuple[Request, ...] = (Request(target, part, exact=True),)
        self.second: tuple[Request, ...] = (Request(target, middle, exact=True),)
        if options.loss == "eulerian":
            self.first = self.step = ode_step(part, options.order)
        elif options.loss == "lagrangian":
            self.second = self.step = ode_step(middle, options.order)
        else:
            self.step = ode_step(whole, options.order)

    def requests(self, role: Role) -> Sequence[Request] | None:
        if role == "estimator":
            return None
        return tuple(dict.fromkeys((self.map, *self.first, *self.second, *self.step)))

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        grid(schedule, t_init, self.options)

    def generator_loss(self, step: StepContext) -> Term:
        schedule, way = step.space.schedule, ways(step, self.options)
        t_B, u_B, s_B = times_of(step, self.options, way)
        f, f_1, f_2 = step[self.map].x0, mean_of(step, self.first), mean_of(step, self.second)
        r_1, r_2 = (expand(remaining(schedule, *ends), f) for ends in ((t_B, u_B), (u_B, s_B)))
        two_parts = (r_2 * (1 - r_1) * f_1 + (1 - r_2) * f_2) / (1 - r_1 * r_2)
        short = expand(way[0] - way[2] <= 1, f).bool()
        target = torch.where(short, mean_of(step, self.step), two_parts)
        return Term(masked_mean((f - target) ** 2, step.space.generated(step.real)), {})
