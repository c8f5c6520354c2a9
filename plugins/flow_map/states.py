"""The states of flow-map distillation: noised data at t, and where the first part of the way to s leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dlmone.core import TEACHER, Average, NoiseSchedule, Point, Request, State, StepContext
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.sampling.flow_map import jump
from dlmone.core.sampling.grid import training_grid

from .options import FlowMapOptions

End = Literal["middle", "last"]
#: The share of samples of the progressive loss that learn φ's steps, which it is told of by no other.
STEPS = 0.25


def grid(schedule: NoiseSchedule, top: float, options: FlowMapOptions) -> list[float]:
    """Return the clean end's time and, from the lowest on, the times at which networks are called.

    Raises:
        InputError: the schedule does not have so many even times, or the ratio has no end.
    """
    times = training_grid(schedule, top, options.times, options.spacing)
    return sorted({schedule.min_time, *times})


def ways(step: StepContext, options: FlowMapOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Return the indices [B] of t, u and s in the grid, s ≤ u ≤ t: from t to s by way of u.

    t is any time but the clean end. A share of s is the clean end, the others are even from there to t. With
    the Lagrangian loss u is one step above s, with the Eulerian one step below t, and with the progressive
    one drawn evenly between these two; of its ways a share is one step.
    """
    last = len(grid(step.space.schedule, step.generator.t_init, options)) - 1
    u_B3 = step.real_noise.uniform("way", (3,))
    t_B = 1 + (u_B3[:, 0] * last).long()
    s_B = (((u_B3[:, 1] - options.to_end) / max(1 - options.to_end, 1e-9)).clamp(min=0) * (t_B + 1)).long()
    s_B = s_B.minimum(t_B)
    if options.loss == "lagrangian":
        return t_B, (s_B + 1).minimum(t_B), s_B
    if options.loss == "eulerian":
        return t_B, (t_B - 1).maximum(s_B), s_B
    # Its own parts teach it nothing about φ.
    s_B = torch.where(u_B3[:, 2] < STEPS, t_B - 1, s_B)
    share_B = (u_B3[:, 2] - STEPS) / (1 - STEPS)
    return t_B, (s_B + 1 + (share_B * (t_B - s_B - 1)).long()).clamp(max=t_B), s_B


def times_of(step: StepContext, options: FlowMapOptions, way: Sequence[Tensor]) -> list[Tensor]:
    """Return the times of the grid at the indices of `ways`, [B] each in the schedule's dtype."""
    schedule = step.space.schedule
    times_N = schedule.tensors(grid(schedule, step.generator.t_init, options), step.fake.tokens_BL.device)
    return [times_N[index_B] for index_B in way]


@dataclass(frozen=True, slots=True)
class From(State):
    """Real data noised to t, from which a map leads to u (``middle``) or s (``last``)."""

    second_time = True
    options: FlowMapOptions
    to: End

    def build(self, step: StepContext) -> Point:
        space, (t, u, s) = step.space, times_of(step, self.options, ways(step, self.options))
        epsilon = step.real_noise.normal("epsilon", space.state_shape)
        e_t = space.schedule.diffuse(step.e_real, t, epsilon)
        return Point(space.pin(e_t, step.e_real, step.real), t, step.real, u if self.to == "middle" else s)


@dataclass(frozen=True, slots=True)
class Middle(State):
    """Where the first part of the way leads, from t to u; a map leads on to s.

    Args:
        target: the network that takes it; φ takes one step of its ODE if None.
    """

    second_time = True
    options: FlowMapOptions
    target: Average | None

    @property
    def requests(self) -> tuple[Request, ...]:
        start = From(self.options, "middle")
        return (Request(self.target, start),) if self.target else ode_step(start, self.options.order)

    def build(self, step: StepContext) -> Point:
        start = step.point(From(self.options, "middle"))
        _, u, s = times_of(step, self.options, ways(step, self.options))
        e_u = jump(step.space.schedule, mean_of(step, self.requests), start.e_t, start.t_B, u)
        return Point(step.space.pin(e_u, start.e_t, start.batch), u, start.batch, s)


@dataclass(frozen=True, slots=True)
class Euler(State):
    """Where one DDIM step of φ leads from another state to its second time."""

    start: State

    @property
    def requests(self) -> tuple[Request, ...]:
        return (Request(TEACHER, self.start),)

    def build(self, step: StepContext) -> Point:
        start, schedule = step.point(self.start), step.space.schedule
        assert start.s_B is not None
        e_s = ddim_step(schedule, step[self.requests[0]].x0, start.e_t, start.t_B, start.s_B)
        return Point(step.space.pin(e_s, start.e_t, start.batch), start.s_B, start.batch)


def ode_step(start: State, order: int) -> tuple[Request, ...]:
    """Return the evaluations of φ whose mean takes one step of its ODE from a state to its second time.

    Of second order it is the mean of φ's x0 at both ends, the lower one from a step of first order
    (DPM-Solver++(2S) of Lu et al. 2022 with its middle at the end).
    """
    along: tuple[State, ...] = (start, Euler(start))
    return tuple(Request(TEACHER, state, exact=True) for state in along[:order])


def mean_of(step: StepContext, requests: tuple[Request, ...]) -> Tensor:
    """Return the mean of the x0 of evaluations."""
    return torch.stack([step[request].x0 for request in requests]).mean(0)
