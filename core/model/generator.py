"""Define generators, models that generate token sequences; the one-step student is one of them."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..sampling.flow_map import jumped_input
from ..sampling.sampler import Sampler, Start, sampled
from ..sampling.spacing import Spacing
from ..step.noise import Draw, Noise
from ..step.renoise import renoised_input, renoising_times
from ..step.request import Point
from .denoiser import Denoised, Denoiser
from .space import Batch, Codec, Space


@dataclass(frozen=True, slots=True)
class Generated:
    """A generator's output: token ids [B, L], final states where it has them, network calls made."""

    tokens_BL: Tensor
    calls: int
    state: Tensor | None = None


class Generator(nn.Module, ABC):
    """Generate the target positions of batches. An autoregressive model is a generator too.

    Attributes:
        space: how texts become batches and back.
        network: the network that is called: a denoiser, or any module.
        refines: whether it can take more than one refinement step.
    """

    space: Codec
    network: nn.Module
    refines: bool = True

    @abstractmethod
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        """Generate the target positions of ``batch`` in ``steps`` refinement steps, without gradient.

        ``earlier`` are the states of earlier candidates for the same batch. Generators of independent
        candidates ignore them.
        """

    def encoded(self, batch: Batch) -> Batch:
        """Return the batch with all that is computed once per condition, as it is if it has that already."""
        return batch

    def prepare(self, dtype: torch.dtype) -> None:
        """Prepare the weights for inference under autocast to ``dtype``; inference only afterwards.

        Autocast would cast float32 weights again at every call.
        """


class DenoiserGenerator(Generator):
    """A generator around a denoiser, which can be copied with another network or another sampler.

    Its methods copy it, as a teacher's plugin may return a subclass: rebuilt from parts, that would be lost.
    """

    space: Space
    network: Denoiser

    def __init__(self, network: Denoiser, space: Space, sampler: Sampler | None = None) -> None:
        super().__init__()
        self.network = network
        self.space = space
        self.sampler = sampler

    @property
    def takes_guidance(self) -> bool:
        """Whether its network takes the guidance scale as an input."""
        return self.network.takes_guidance

    def with_network(self, network: Denoiser) -> Self:
        """Return a copy around ``network``; it shares the space."""
        return copy.deepcopy(self, {id(self.space): self.space, id(self.network): network})

    def with_sampler(self, sampler: Sampler | None) -> Self:
        """Return a copy that samples by ``sampler``; it shares the network and the space."""
        other = self.with_network(self.network)
        other.sampler = sampler
        return other

    def encoded(self, batch: Batch) -> Batch:
        return batch if batch.encoded else self.space.encode(batch)

    def _sampled(self, sampler: Sampler, batch: Batch, *how: Any, **more: Any) -> Generated:
        state, calls = sampled(sampler, self.network, self.space, batch, *how, **more)
        tokens_BL, further = sampler.decode(self.network, self.space, state, batch)
        return Generated(tokens_BL, calls + further, state)

    def prepare(self, dtype: torch.dtype) -> None:
        self.network.to_precision(dtype)
        self.network.pack()


class DiffusionGenerator(DenoiserGenerator):
    """The student θ: one call of a denoiser at t_init, G_θ(c, z) of section 3.1.

    A subclass may begin from another state (`start`) or have a network of its own. Training, inference and
    samplers all go by these two.

    Args:
        network: the denoiser, initialised as a copy of the teacher's.
        space: the space it shares with the teacher.
        t_init: the time passed to the network; its σ scales the input.
        unit_input: use z itself as input instead of σ(t_init)·z (as DiffuSeq's sampler; SiD uses σ·z).
        sampler: for inference; re-noising (`roll_out`) if None.

    Attributes:
        spacing: how the times of several calls are spread; a stage's ``spacing``.
    """

    spacing: Spacing = "time"

    def __init__(
        self,
        network: Denoiser,
        space: Space,
        t_init: float,
        unit_input: bool = False,
        sampler: Sampler | None = None,
    ) -> None:
        super().__init__(network, space, sampler)
        self.t_init = t_init
        self.unit_input = unit_input

    @property
    def start(self) -> Start:
        """Where sampling begins."""
        return Start(self.t_init, self.unit_input, self.spacing)

    def call(self, point: Point, **wanted: Any) -> Denoised:
        """One network call from a pinned state; ``wanted`` are `Denoiser.denoise`'s.

        All that θ computes passes here, in training and in sampling without a sampler.
        """
        return point.denoise(self.network, **wanted)

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        """Return e = G_θ(c, z), differentiable in θ. ``z`` is standard normal [B, *state_shape].

        Given entries of the input, elsewhere σ(t_init)·z, and of e are the clean condition (appendix B.1.2).
        """
        return self.roll_out(batch, Noise((), made={self.draws[0]: z}), 1, 1)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """What one call reads of its noise, z first."""
        return (Draw("normal", "z", self.space.state_shape),)

    def one_step_tokens(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the tokens [B, L] of `generate`'s only call as one static expression, for an exported graph.

        No shape and no branch may depend on a value or on the number of rows. By default they are the arg max
        of `Space.scores`, in float32; a subclass that names tokens otherwise overrides this, and `draws`.

        Raises:
            InputError: the space has no scores.
        """
        scores_BLV = self.space.scores(self.roll_out(batch, noise, 1, 1), batch)
        return torch.where(batch.target_BL, scores_BLV.argmax(-1), batch.tokens_BL)

    def call_times(self, steps: int) -> list[float]:
        """Return the times of ``steps`` re-noised calls, t_init first."""
        return renoising_times(self.space.schedule, self.t_init, steps, self.spacing)

    def input_of(self, batch: Batch, given: Tensor, noise: Noise, k: int, steps: int) -> Point:
        """Return the input of the k-th of ``steps`` calls, pinned to ``given``.

        A student of one time re-noises its outputs (Table 4). One of two times, a flow map, goes down the
        same times by `jump`, without fresh noise.

        Raises:
            InputError: there is no such call.
        """
        if not 1 <= k <= steps:
            raise InputError(f"a student of {steps} network calls has no call {k}; they count from 1")
        x = self.start.state(self.space, noise.normal("z", self.space.state_shape))
        every = self.call_times(steps)
        if self.network.second_time:
            ends = [*every, self.space.schedule.min_time][: k + 1]
            return jumped_input(lambda point: self.call(point).x0, self.space, batch, given, x, ends)
        carry = self.network.self_conditioning
        return renoised_input(
            lambda point: self.call(point).x0, self.space, batch, given, x, every[:k], noise, carry
        )

    def roll_out(self, batch: Batch, noise: Noise, calls: int, steps: int) -> Tensor:
        """Return the output after the first ``calls`` of ``steps`` calls (`input_of`).

        Only the last call is differentiable; earlier ones run without gradient.
        """
        given = self._given(batch)
        point = self.input_of(batch, given, noise, calls, steps)
        return self.space.pin(self.call(point).x0, given, batch)

    def decode(self, state: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Return the token ids [B, L] of θ's final states, and the network calls this took."""
        return self.network.decode(state, batch, self.space)

    def _given(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.space.embed_condition(batch)

    @torch.no_grad()
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        batch = self.encoded(batch)
        if self.sampler is not None:
            return self._sampled(self.sampler, batch, noise, steps, self.start, earlier)
        state = self.roll_out(batch, noise, steps, steps)
        tokens_BL, further = self.decode(state, batch)
        return Generated(tokens_BL, steps + further, state)


class SampledGenerator(DenoiserGenerator):
    """A many-step generator: a denoiser (a teacher's φ) under a sampler."""

    sampler: Sampler

    @torch.no_grad()
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        return self._sampled(self.sampler, self.encoded(batch), noise, steps, earlier=earlier)
