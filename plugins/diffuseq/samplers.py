"""DiffuSeq's own samplers, as in its `sample_seq2seq.py`: published numbers of teachers come from them.

Both start from unit noise at the last time with the clean condition pinned, and by default round each
prediction to the nearest embeddings. The condition is clean here; in training it has the noise of time 0.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from dlmone.core import Batch, Denoiser, DiscreteSchedule, InputError, Noise, Sampler, Space, Start
from dlmone.core.model.schedule import expand

from .options import DDPMOptions, SamplerOptions


class OfficialSampler(Sampler):
    """The loop of both samplers: predict, round, step, pin."""

    def __init__(self, options: SamplerOptions) -> None:
        self.rounding = options.rounding

    @abstractmethod
    def times(self, schedule: DiscreteSchedule, steps: int) -> range:
        """Return the times of the network calls, descending.

        Raises:
            InputError: this number of steps cannot be taken.
        """

    @abstractmethod
    def step(
        self, schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor, fresh: Callable[[], Tensor]
    ) -> Tensor:
        """Return x_{t−1}; ``fresh`` returns this step's noise."""

    def rounds_at(self, t: int) -> bool:
        """Tell whether the prediction at time ``t`` is rounded."""
        return self.rounding

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
        schedule = space.schedule
        if not isinstance(schedule, DiscreteSchedule):
            raise InputError("DiffuSeq's samplers go down a chain of whole time steps; use ddim here")
        if start is not None:
            raise InputError(
                "DiffuSeq's samplers begin at the end of the schedule; a student begins at t_init"
            )
        times = self.times(schedule, steps)
        given = space.embed_condition(batch)
        x = space.pin(noise.normal("z", space.state_shape), given, batch)
        for i, t in enumerate(times, start=1):
            t_B = schedule.tensor(t, len(batch), x.device)
            x0 = network.denoise(x, t_B, batch).x0
            if self.rounds_at(t):
                x0 = space.round(x0)
            x_next = self.step(schedule, x0, x, t_B, partial(noise.normal, f"z{i}", space.state_shape))
            x = space.pin(x_next, given, batch)
        return x, len(times)


class DiffuSeqDDPM(OfficialSampler):
    """Ancestral sampling over every time of the chain."""

    def __init__(self, options: DDPMOptions) -> None:
        super().__init__(options)
        self.clamp_step = options.clamp_step

    def times(self, schedule: DiscreteSchedule, steps: int) -> range:
        if steps != schedule.steps:
            raise InputError(
                f"DiffuSeq's DDPM visits all {schedule.steps} diffusion steps, so it cannot take {steps}; "
                "its DDIM can"
            )
        return range(schedule.steps - 1, -1, -1)

    def rounds_at(self, t: int) -> bool:
        return self.rounding and t >= self.clamp_step

    def step(
        self, schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor, fresh: Callable[[], Tensor]
    ) -> Tensor:
        return ddpm_step(schedule, x0, x_t, t_B, fresh())


class DiffuSeqDDIM(OfficialSampler):
    """Deterministic strided sampling, T−1, T−1−gap, …: DLM-One's NFE of 65, 286, 667 and 1000."""

    def times(self, schedule: DiscreteSchedule, steps: int) -> range:
        return range(schedule.steps - 1, -1, -ddim_gap(schedule.steps, steps))

    def step(
        self, schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor, fresh: Callable[[], Tensor]
    ) -> Tensor:
        return ddim_step(schedule, x0, x_t, t_B)


def ddim_gap(diffusion_steps: int, steps: int) -> int:
    """Return the stride T // steps, with an NFE of ⌈T / gap⌉, often more than ``steps`` (64 gives 65).

    Raises:
        InputError: ``steps`` is less than 1 or more than T.
    """
    if not 1 <= steps <= diffusion_steps:
        raise InputError(f"DiffuSeq's DDIM takes 1 to {diffusion_steps} steps of this model, not {steps}")
    return diffusion_steps // steps


def ddpm_step(schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
    """x_{t−1} = μ(x_t, x0) + √β_t·ε for t > 0, and μ = x0 at t = 0. States [B, …], times [B].

    The variance is β_t ("fixed large"); the training argument ``sigma_small`` is ignored, as officially.
    """
    deviation_B = schedule.beta(t_B).sqrt() * (t_B > 0)
    return posterior_mean(schedule, x0, x_t, t_B) + expand(deviation_B, x_t) * noise


def posterior_mean(schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor) -> Tensor:
    """μ = β_t·√ᾱ_{t−1}/(1−ᾱ_t)·x0 + (1−ᾱ_{t−1})·√(1−β_t)/(1−ᾱ_t)·x_t (Ho et al., Eq. 7), with ᾱ_{−1} = 1."""
    beta_B = schedule.beta(t_B)
    before_B, variance_B = previous(schedule, t_B), schedule.sigma(t_B) ** 2
    of_x0_B = beta_B * before_B.sqrt() / variance_B
    of_x_t_B = (1 - before_B) * (1 - beta_B).sqrt() / variance_B
    return expand(of_x0_B, x0) * x0 + expand(of_x_t_B, x_t) * x_t


def ddim_step(schedule: DiscreteSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor) -> Tensor:
    """√ᾱ_{t−1}·x0 + √(1−ᾱ_{t−1})·ε, with ε = (x_t − α_t·x0)/σ_t. States [B, …], times [B].

    It steps to the noise level of t − 1 even if the next network call is at t − gap. This error of the
    official sampler is kept, because the published numbers were measured with it. `ddim` steps correctly.
    """
    epsilon = (x_t - expand(schedule.alpha(t_B), x_t) * x0) / expand(schedule.sigma(t_B), x_t)
    before_B = previous(schedule, t_B)
    return expand(before_B.sqrt(), x_t) * x0 + expand((1 - before_B).sqrt(), x_t) * epsilon


def previous(schedule: DiscreteSchedule, t_B: Tensor) -> Tensor:
    """Return ᾱ_{t−1}, [B] float64, which is 1 before the first time."""
    before_B = schedule.alpha_bar((t_B - 1).clamp(min=0))
    return torch.where(t_B > 0, before_B, 1.0)
