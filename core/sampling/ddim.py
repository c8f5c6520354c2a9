"""Deterministic and ancestral steps down a noise schedule: DDIM (Song et al. 2021) in α and σ alone.

Neither a variance-preserving process nor whole times are assumed.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import InputError
from ..model.denoiser import Denoiser, temperature_of
from ..model.schedule import NoiseSchedule, expand
from ..model.space import Batch, Space
from .sampler import require_steps
from .spacing import Spacing, spaced_times


def ddim(
    schedule: NoiseSchedule,
    predict: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    times: list[float],
    eta: float = 0.0,
    fresh: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """Go down ``times`` from the noisy state ``x``; the last x0 prediction is the sample.

    Args:
        schedule: the noise schedule.
        predict: ``predict(x_t, t_B)``, the x0 prediction.
        x: states [B, …] at the first of the times.
        times: from `sampling_times`.
        eta: 0 is deterministic, 1 ancestral.
        fresh: the noise of the i-th step, i from 1; required unless ``eta`` is 0.
    """
    along = [schedule.tensor(time, len(x), x.device) for time in times]
    for i, (t_B, s_B) in enumerate(pairwise(along), start=1):
        noise = fresh(i) if fresh and eta else None
        x = ddim_step(schedule, predict(x, t_B), x, t_B, s_B, eta, noise)
    return predict(x, along[-1])


def predictor(
    network: Denoiser, space: Space, batch: Batch, rounding: bool = True, temperature: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return ``predict(x_t, t_B)`` for one trajectory of `ddim`: pinned calls, x0 rounded if asked to.

    A network with self-conditioning is handed the x0 of the call before, at the first call nothing.

    Raises:
        InputError: the network has no token probabilities whose temperature could be another than 1.
    """
    warmth = temperature_of(network, temperature)
    with torch.no_grad():
        given = space.embed_condition(batch)
    previous: Tensor | None = None

    def predict(x_t: Tensor, t_B: Tensor) -> Tensor:
        nonlocal previous
        pinned = space.pin(x_t, given, batch)
        if network.self_conditioning:
            x0 = previous = network.denoise(pinned, t_B, batch, previous=previous, **warmth).x0
        else:
            x0 = network.denoise(pinned, t_B, batch, **warmth).x0
        return space.round(x0) if rounding else x0

    return predict


def sampling_times(
    schedule: NoiseSchedule,
    start: float,
    steps: int,
    until: float | None = None,
    spacing: Spacing = "time",
) -> list[float]:
    """Return ``steps`` evenly spaced times, from ``start`` down to one step above ``until``.

    Continuous times are until + (start − until)·(1 − i/n). Whole ones divide the start − until + 1 times
    there are, so that asking for all of them gives each once. Few steps keep the noisiest time, not the
    cleanest one.

    Args:
        schedule: the noise schedule.
        start: the first time.
        steps: how many.
        until: the clean state's time if None. At low noise every word is certain, and network calls there
            change nothing: few calls do more at higher noise.
        spacing: the measure in which they are even.

    Raises:
        InputError: ``steps`` is less than one, or more than the whole times there are; ``until`` is above
            ``start``, or at it and several calls would be the same.
    """
    require_steps(steps)
    end = schedule.min_time if until is None else until
    if end > start or (end == start and steps > 1 and not schedule.discrete):
        raise InputError(f"until: network calls go down from {start:g} and cannot end at {end:g}")
    if spacing != "time":
        return spaced_times(schedule, start, end, [i / steps for i in range(steps)], spacing)
    if not schedule.discrete:
        return [end + (start - end) * (1 - i / steps) for i in range(steps)]
    first, count = int(end), int(start - end) + 1
    if steps > count:
        below = "down" if until is None else f"down to {until:g}"
        raise InputError(f"steps: there are {count} times from {start:g} {below}, too few for {steps} steps")
    return [first - 1 + count * (steps - i) // steps for i in range(steps)]


def ddim_step(
    schedule: NoiseSchedule,
    x0: Tensor,
    x_t: Tensor,
    t_B: Tensor,
    s_B: Tensor,
    eta: float = 0.0,
    fresh: Tensor | None = None,
) -> Tensor:
    """x_s = α_s·x0 + σ_s·(√(1 − c²)·ε + c·ε'), with ε = (x_t − α_t·x0)/σ_t: from time t to an earlier s.

    c = η·√(1 − (σ_s·α_t / (α_s·σ_t))²). At η = 1, σ_s²·c² is the variance of the posterior q(x_s | x_t, x0)
    (DDIM's Eq. 12 and 16, freed of α² + σ² = 1). States [B, …], times [B]; ``fresh`` is ε', standard
    normal. Where s = t, η is 0.

    Raises:
        ValueError: η is not 0 and there is no ``fresh``: x_s would have too little noise.
    """
    alpha_t, sigma_t = schedule.alpha(t_B), schedule.sigma(t_B)
    alpha_s, sigma_s = schedule.alpha(s_B), schedule.sigma(s_B)
    epsilon = (x_t - expand(alpha_t, x_t) * x0) / expand(sigma_t, x_t)
    if not eta:
        return expand(alpha_s, x_t) * x0 + expand(sigma_s, x_t) * epsilon
    if fresh is None:
        raise ValueError(f"a step of eta {eta:g} needs fresh noise")
    # Products, not ratios: at the start of flow matching α_t = 0.
    share = eta**2 * (1 - (sigma_s * alpha_t / (alpha_s * sigma_t)) ** 2)
    mean = expand(alpha_s, x_t) * x0 + expand(sigma_s * (1 - share).sqrt(), x_t) * epsilon
    return mean + expand(sigma_s * share.sqrt(), x_t) * fresh
