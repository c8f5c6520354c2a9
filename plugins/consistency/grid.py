"""The grid of times, and the two states of consistency distillation: above, and one step of the ODE below."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dlmone.core import TEACHER, NoiseSchedule, Point, Request, State, StepContext
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.sampling.grid import training_grid

from .options import ConsistencyOptions


def grid(schedule: NoiseSchedule, top: float, options: ConsistencyOptions) -> list[float]:
    """Return the times t_1 < … < t_N = ``top`` (`training_grid`)."""
    return training_grid(schedule, top, options.times, options.spacing)


def grid_tensor(step: StepContext, options: ConsistencyOptions) -> Tensor:
    """Return the grid up to where θ's first call is made, [N] in the schedule's dtype."""
    schedule = step.space.schedule
    return schedule.tensors(grid(schedule, step.generator.t_init, options), step.fake.tokens_BL.device)


@dataclass(frozen=True, slots=True)
class Above(State):
    """Real data noised to a time of the grid, drawn evenly."""

    options: ConsistencyOptions

    def build(self, step: StepContext) -> Point:
        times_N, space = grid_tensor(step, self.options), step.space
        index_B = (step.real_noise.uniform("grid") * len(times_N)).long().clamp(max=len(times_N) - 1)
        t_B = times_N[index_B]
        epsilon = step.real_noise.normal("epsilon", space.state_shape)
        e_t = space.schedule.diffuse(step.e_real, t_B, epsilon)
        return Point(space.pin(e_t, step.e_real, step.real), t_B, step.real)


@dataclass(frozen=True, slots=True)
class Below(State):
    """Where one step of the teacher's ODE leads from `Above`: to the time before it in the grid.

    Of first order it is DDIM's. Of second order it goes by the mean of the teacher's x0 at both ends, the
    lower one from a step of first order (DPM-Solver++(2S) of Lu et al. 2022 with its middle at the end).
    """

    options: ConsistencyOptions
    order: int

    @property
    def requests(self) -> tuple[Request, ...]:
        along: tuple[State, ...] = (Above(self.options), Below(self.options, 1))
        return tuple(Request(TEACHER, state) for state in along[: self.order])

    def build(self, step: StepContext) -> Point:
        above, times_N = step.point(Above(self.options)), grid_tensor(step, self.options)
        # The first time has none before it; what is computed there is not used.
        s_B = times_N[(torch.searchsorted(times_N, above.t_B.contiguous()) - 1).clamp(min=0)]
        x0 = torch.stack([step[request].x0 for request in self.requests]).mean(0)
        e_s = ddim_step(step.space.schedule, x0, above.e_t, above.t_B, s_B)
        return Point(step.space.pin(e_s, above.e_t, above.batch), s_B, above.batch)
