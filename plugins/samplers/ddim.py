"""DDIM (Song et al. 2021) in α and σ alone: neither a variance-preserving process nor whole times assumed."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from dlmone.core import Batch, Denoiser, InputError, Noise, NoiseSchedule, Sampler, Space, Start, TimePoint
from dlmone.core.schedule import expand

from .options import DDIMOptions


class DDIM(Sampler):
    """Denoises from σ(start)·z down `sampling_times`; the last x0 prediction is the sample."""

    def __init__(self, options: DDIMOptions) -> None:
        self.options = options

    def sample(
        self,
        network: Denoiser,
        space: Space,
        batch: Batch,
        noise: Noise,
        steps: int,
        start: Start | None = None,
        earlier: Sequence[Tensor] = (),
    ) -> tuple[Tensor, int]:
        schedule, shape = space.schedule, space.state_shape
        times = [
            schedule.tensor(t, len(batch), noise.device)
            for t in sampling_times(schedule, self._first_time(schedule, start), steps)
        ]
        given = space.embed(batch)

        def predict(x_t: Tensor, t_B: Tensor) -> Tensor:
            x0 = network.denoise(space.pin(x_t, given, batch), t_B, batch).x0
            return space.round(x0) if self.options.rounding else x0

        z = noise.normal("z", shape)
        x = Start(times[0][0].item(), start is not None and start.unit).state(space, z)
        for i, (t_B, s_B) in enumerate(pairwise(times), start=1):
            fresh = noise.normal(f"z{i}", shape) if self.options.eta else None
            x = ddim_step(schedule, predict(x, t_B), x, t_B, s_B, self.options.eta, fresh)
        return space.pin(predict(x, times[-1]), given, batch), steps

    def _first_time(self, schedule: NoiseSchedule, start: Start | None) -> float:
        """Return where the options say, or else where the network was made to begin."""
        if self.options.start is not None:
            return schedule.resolve(TimePoint(self.options.start), "ddim's start")
        return schedule.last if start is None else start.time


def sampling_times(schedule: NoiseSchedule, start: float, steps: int) -> list[float]:
    """Return ``steps`` evenly spaced times, from ``start`` down to one step above the clean state.

    Continuous times are first + (start − first)·(1 − i/n). Whole ones divide the start − first + 1 times
    there are, so that asking for all of them gives each once. Few steps keep the noisiest time, not the
    cleanest one.

    Raises:
        InputError: ``steps`` is less than one, or more than the whole times there are.
    """
    if steps < 1:
        raise InputError(f"a sampler takes at least one step, not {steps}")
    if not schedule.discrete:
        return [schedule.first + (start - schedule.first) * (1 - i / steps) for i in range(steps)]
    first, count = int(schedule.first), int(start - schedule.first) + 1
    if steps > count:
        raise InputError(f"ddim: there are {count} times from {start:g} down, too few for {steps} steps")
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
    normal, and is wanted unless η = 0.
    """
    alpha_t, sigma_t = schedule.alpha(t_B), schedule.sigma(t_B)
    alpha_s, sigma_s = schedule.alpha(s_B), schedule.sigma(s_B)
    # Products, not ratios: at the start of flow matching α_t = 0.
    share = eta**2 * (1 - (sigma_s * alpha_t / (alpha_s * sigma_t)) ** 2)
    epsilon = (x_t - expand(alpha_t, x_t) * x0) / expand(sigma_t, x_t)
    x_s = expand(alpha_s, x_t) * x0 + expand(sigma_s * (1 - share).sqrt(), x_t) * epsilon
    return x_s if fresh is None else x_s + expand(sigma_s * share.sqrt(), x_t) * fresh
