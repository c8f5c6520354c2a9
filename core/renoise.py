"""Re-noising (Table 4): predict the clean state, noise it again to an earlier time, predict again."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .ddim import predictor
from .denoiser import Denoiser
from .noise import Noise
from .sampler import require_steps
from .schedule import NoiseSchedule
from .space import Batch, Space


def renoising_times(schedule: NoiseSchedule, t_init: float, steps: int) -> list[float]:
    """Return t_i = t_init·(1 − i/n) for i = 0 … n − 1, the times of SiD-LSG's few-step evaluation.

    Times count from the clean end of the schedule. Whole times are rounded down, in whole numbers: a product
    of floats can fall just below the whole number that it should be.

    Raises:
        InputError: ``steps`` is less than one.
    """
    require_steps(steps)
    end = schedule.min_time
    if schedule.discrete:
        return [end + int(t_init - end) * (steps - i) // steps for i in range(steps)]
    return [end + (t_init - end) * (1 - i / steps) for i in range(steps)]


def renoise(
    network: Denoiser,
    space: Space,
    batch: Batch,
    x: Tensor,
    times: Sequence[float],
    noise: Noise | None = None,
) -> Tensor:
    """Return the network's last answer of calls at ``times``, [B, *state_shape], given entries pinned.

    The first call is made from the noisy state ``x``, each later one from the last answer, noised to its time
    with fresh noise. Only the last call is differentiable: the others are made without gradient.

    Args:
        network: φ or θ.
        space: its space.
        batch: the conditions.
        x: noisy states [B, *state_shape] at the first of the times.
        times: from `renoising_times`.
        noise: the fresh noise of call i, from 1, is its draw ``z{i}``. One call needs none.
    """
    predict, schedule = predictor(network, space, batch, rounding=False), space.schedule
    e, last = x, len(times) - 1
    for i, time in enumerate(times):
        t_B = schedule.tensor(time, len(batch), x.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and i == last):
            if i > 0:
                assert noise is not None, "calls after the first need fresh noise"
                x = schedule.diffuse(e, t_B, noise.normal(f"z{i}", space.state_shape))
            e = predict(x, t_B)
    return space.pin(e, space.embed(batch), batch)
