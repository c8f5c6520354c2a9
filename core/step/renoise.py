"""Re-noising (Table 4): predict the clean state, noise it again to an earlier time, predict again."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..model.denoiser import Denoiser
from ..model.schedule import NoiseSchedule
from ..model.space import Batch, Space
from ..sampling.sampler import require_steps
from ..sampling.spacing import Spacing, spaced_times
from .noise import Noise
from .request import Point


def renoising_times(
    schedule: NoiseSchedule, t_init: float, steps: int, spacing: Spacing = "time"
) -> list[float]:
    """Return t_i = t_init·(1 − i/n) for i = 0 … n − 1, the times of SiD-LSG's few-step evaluation.

    With another spacing, i/n is the share of the way from t_init down to the clean end. Times count from the
    clean end of the schedule. Whole times are rounded down, in whole numbers: a product of floats can
    fall just below the whole number that it should be.

    Raises:
        InputError: ``steps`` is less than one, or the spacing does not fit them.
    """
    require_steps(steps)
    end = schedule.min_time
    if spacing != "time":
        return spaced_times(schedule, t_init, end, [i / steps for i in range(steps)], spacing)
    if schedule.discrete:
        return [end + int(t_init - end) * (steps - i) // steps for i in range(steps)]
    return [end + (t_init - end) * (1 - i / steps) for i in range(steps)]


def renoised_input(
    call: Callable[[Point], Tensor],
    space: Space,
    batch: Batch,
    given: Tensor,
    x: Tensor,
    times: Sequence[float],
    noise: Noise | None = None,
    carry: bool = False,
) -> Point:
    """Return what the last of the calls at ``times`` is given; those before it are made without gradient.

    The first call is made from the noisy state ``x``, each later one from the last answer, noised to its time
    with fresh noise.

    Args:
        call: one network call, from a point to x0 [B, *state_shape].
        space: the network's space.
        batch: the conditions.
        given: their states, from `Space.embed_condition`.
        x: noisy states [B, *state_shape] at the first of the times.
        times: from `renoising_times`.
        noise: the fresh noise of call i, from 1, is its draw ``z{i}``. One call needs none.
        carry: hand each x0 on to the next call, for networks with self-conditioning.

    Raises:
        InputError: there are no times.
    """
    require_steps(len(times))
    schedule, t_B = space.schedule, space.schedule.tensor(times[0], x.shape[0], x.device)
    point = Point(space.pin(x, given, batch), t_B, batch)
    for i, time in enumerate(times[1:], start=1):
        assert noise is not None, "calls after the first need fresh noise"
        with torch.no_grad():
            e = call(point)
            t_B = schedule.tensor(time, x.shape[0], x.device)
            e_t = schedule.diffuse(e, t_B, noise.normal(f"z{i}", space.state_shape))
            point = Point(space.pin(e_t, given, batch), t_B, batch, previous=e if carry else None)
    return point


def renoise(
    network: Denoiser,
    space: Space,
    batch: Batch,
    x: Tensor,
    times: Sequence[float],
    noise: Noise | None = None,
) -> Tensor:
    """Return the answer of the last of the calls at ``times``, [B, *state_shape], given entries pinned.

    It alone is differentiable. ``network`` is φ or θ; the other arguments are those of `renoised_input`.
    """

    def call(point: Point) -> Tensor:
        return point.denoise(network).x0

    with torch.no_grad():
        given = space.embed_condition(batch)
    point = renoised_input(call, space, batch, given, x, times, noise, network.self_conditioning)
    return space.pin(call(point), given, batch)
