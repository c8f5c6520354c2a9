"""Flow maps: where the ODE of a diffusion leads from one time to an earlier one, in one network call.

A network of two times gives f(x_t, t, s), with which one DDIM step leads from t right to s,

    X_{t→s}(x_t) = α_s·f + σ_s·(x_t − α_t·f)/σ_t.

Where s = t, f is the denoiser E[x0 | x_t]. The schedule's first time stands for the clean end, where X is f.
In y = x/α over λ = σ/α, (y − f)/λ_t is the average velocity of MeanFlow (Geng et al. 2025) from λ_t to λ_s.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..model.schedule import NoiseSchedule, expand
from ..model.space import Batch, Space
from ..step.request import Point
from .ddim import ddim_step


def jump(schedule: NoiseSchedule, f: Tensor, x_t: Tensor, t_B: Tensor, s_B: Tensor) -> Tensor:
    """Return X_{t→s}(x_t) from f(x_t, t, s), at times s ≤ t. States [B, …], times [B]."""
    clean = expand(s_B == schedule.min_time, x_t).bool()
    return torch.where(clean, f, ddim_step(schedule, f, x_t, t_B, s_B))


def remaining(schedule: NoiseSchedule, t_B: Tensor, s_B: Tensor) -> Tensor:
    """Return λ_s/λ_t with λ = σ/α, the share of the noise that is left by a jump from t to s; 0 at the end.

    In y = x/α the jump is y_s = r·y_t + (1 − r)·f.
    """
    ratio_B = schedule.sigma(s_B) * schedule.alpha(t_B) / (schedule.alpha(s_B) * schedule.sigma(t_B))
    ratio_B = torch.where(s_B == t_B, 1.0, ratio_B)  # α may be 0 at the start
    return torch.where(s_B == schedule.min_time, 0.0, ratio_B)


def jumped_input(
    call: Callable[[Point], Tensor],
    space: Space,
    batch: Batch,
    given: Tensor,
    x: Tensor,
    times: Sequence[float],
) -> Point:
    """Return what the last call is given on the way down ``times``, the last of which is where it leads.

    Args:
        call: one network call, from a point with two times to f [B, *state_shape].
        space: the network's space.
        batch: the conditions.
        given: their states, from `Space.embed_condition`.
        x: noisy states [B, *state_shape] at the first of the times.
        times: two or more, downwards.
    """
    schedule = space.schedule
    along = [schedule.tensor(time, x.shape[0], x.device) for time in times]
    point = Point(space.pin(x, given, batch), along[0], batch, along[1])
    for t_B, s_B in pairwise(along[1:]):
        with torch.no_grad():
            e_t = jump(schedule, call(point), point.e_t, point.t_B, t_B)
        point = Point(space.pin(e_t, given, batch), t_B, batch, s_B)
    return point
