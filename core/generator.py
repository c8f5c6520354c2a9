"""Generators: anything that writes token sequences; the one-step student is one of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .denoiser import Denoiser
from .noise import Noise
from .space import Batch, Space


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generator wrote: token ids [B, L], final states where it has them, network calls made."""

    tokens_BL: Tensor
    calls: int
    state: Tensor | None = None


class Generator(nn.Module, ABC):
    """Writes a batch's generated positions. An autoregressive model can be one."""

    space: Space

    @abstractmethod
    def generate(self, batch: Batch, noise: Noise, steps: int = 1) -> Generated:
        """Write the target positions of ``batch`` in ``steps`` refinement steps, without gradient."""


class DiffusionGenerator(Generator):
    """The student θ: one call of a denoiser at t_init, G_θ(c, z) of section 3.1.

    Args:
        network: the denoiser, started as a copy of the teacher's.
        space: the space it shares with the teacher.
        t_init: the time the network is told, and whose σ scales its input.
        unit_input: feed z itself instead of σ(t_init)·z (DiffuSeq's own start; SiD feeds σ·z).
    """

    def __init__(self, network: Denoiser, space: Space, t_init: float, unit_input: bool = False) -> None:
        super().__init__()
        self.network = network
        self.space = space
        self.t_init = t_init
        self.unit_input = unit_input

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        """e = G_θ(c, z), differentiable in θ. ``z`` is standard normal [B, *state_shape].

        The input is σ(t_init)·z at generated entries and the clean condition at given ones; the output's
        given entries are overwritten by the condition (appendix B.1.2).
        """
        return self.call(batch, z if self.unit_input else self._sigma(batch, z, self.t_init), self.t_init)

    def call(self, batch: Batch, start: Tensor, time: float) -> Tensor:
        """One pinned network call at ``time`` from the noisy state ``start``."""
        given = self.space.embed(batch)
        t_B = self.space.schedule.tensor(time, len(batch), start.device)
        answer = self.network.denoise(self.space.pin(start, given, batch), t_B, batch)
        return self.space.pin(answer.x0, given, batch)

    def renoise(self, batch: Batch, noise: Noise, steps: int) -> Tensor:
        """Re-noise and denoise ``steps`` times at t_i = int(t_init·(1 − i/n)) with fresh noise (Table 4)."""
        schedule = self.space.schedule
        e = self.one_step(batch, noise.normal("z", self.space.state_shape))
        for i in range(1, steps):
            time = schedule.first + (self.t_init - schedule.first) * (1 - i / steps)
            time = int(time) if schedule.discrete else time
            t_B = schedule.tensor(time, len(batch), e.device)
            e = self.call(
                batch, schedule.diffuse(e, t_B, noise.normal(f"z{i}", self.space.state_shape)), time
            )
        return e

    @torch.no_grad()
    def generate(self, batch: Batch, noise: Noise, steps: int = 1) -> Generated:
        e = self.renoise(batch, noise, steps)
        return Generated(self.space.decode(e, batch), calls=steps, state=e)

    def _sigma(self, batch: Batch, z: Tensor, time: float) -> Tensor:
        schedule = self.space.schedule
        return schedule.diffuse(z.new_zeros(z.shape), schedule.tensor(time, len(batch), z.device), z)


class Sampler(ABC):
    """Turns a denoiser into text in many steps. A plugin's sampler is constructed with its options."""

    @abstractmethod
    def sample(
        self, network: Denoiser, space: Space, batch: Batch, noise: Noise, steps: int
    ) -> tuple[Tensor, int]:
        """Return final states [B, *state_shape], given entries pinned, and the network calls made.

        ``steps`` is what was asked for; a sampler whose order or stride makes other counts says so in
        the second value.

        Raises:
            InputError: the sampler cannot take this number of steps with this schedule.
        """


class SampledGenerator(Generator):
    """A many-step generator: a denoiser (a teacher's φ) under a sampler."""

    def __init__(self, network: Denoiser, space: Space, sampler: Sampler) -> None:
        super().__init__()
        self.network = network
        self.space = space
        self.sampler = sampler

    @torch.no_grad()
    def generate(self, batch: Batch, noise: Noise, steps: int = 1) -> Generated:
        state, calls = self.sampler.sample(self.network, self.space, batch, noise, steps)
        return Generated(self.space.decode(state, batch), calls=calls, state=state)
