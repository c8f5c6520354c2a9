"""ELF's samplers: Euler steps along the flow, with noise put back before each of them or not."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch, Denoiser, InputError, Noise, NoiseSchedule, Sampler, Space, Start
from dlmone.core.model.schedule import expand
from dlmone.core.sampling.sampler import require_steps
from dlmone.core.sampling.spacing import spaced_times
from dlmone.registry import spacing_on

from .network import ElfNetwork
from .options import SamplerOptions
from .schedule import NOISE_SCALE, ElfSchedule, logit_normal

#: 1 − t in a velocity (x̂ − z)/(1 − t) is never taken for less.
LEAST_LEFT = 0.05


class ElfSampler(Sampler):
    """``steps`` Euler steps from noise to data; each x̂ is the next step's self-condition.

    With the call that reads the tokens these are steps + 1 network calls; with guidance by two calls, one
    more for each step.
    """

    def __init__(self, options: SamplerOptions) -> None:
        self.options = options

    def check(self, schedule: NoiseSchedule) -> None:
        if self.options.spacing != "logit_normal":
            spacing_on(self.options.spacing, schedule, "spacing")

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
        require_steps(steps)
        schedule = space.schedule
        if not isinstance(schedule, ElfSchedule):
            raise InputError("ELF's sampler goes along ELF's path, which this model has not; use ddim here")
        start = Start(schedule.max_time) if start is None else start
        batch = space.encode(batch)
        given, batches = space.embed_condition(batch), [batch]
        if self.options.condition_guidance != 1:
            batches = [space.encoded_null(batch), batch]
        z = space.pin(start.state(space, noise.normal("z", space.state_shape)), given, batch)
        times_BN = self.times(schedule, noise, steps, start.time)
        x: Tensor | None = None
        for i in range(steps):
            t_B, after_B = times_BN[:, i], times_BN[:, i + 1]
            if self.options.method == "sde" and i + 1 < steps:
                fresh = noise.normal(f"z{i + 1}", space.state_shape)
                z, t_B = renoised(z, t_B, after_B, self.options.gamma, fresh)
                z = space.pin(z, given, batch)
            x = space.pin(self._estimate(network, space, z, 1 - t_B, batches, x), given, batch)
            z = euler(z, x, t_B, after_B)
        return z, steps * len(batches)

    def decode(self, network: Denoiser, space: Space, state: Tensor, batch: Batch) -> tuple[Tensor, int]:
        if isinstance(network, ElfNetwork):
            return network.decode(state, batch, space, guidance=self.options.guidance)
        return network.decode(state, batch, space)

    def times(self, schedule: ElfSchedule, noise: Noise, steps: int, start: float) -> Tensor:
        """Return official times from 1 − ``start`` to 1, rising, [B, steps + 1] float64.

        Officially a batch shares one random grid; here each sample has its own, which its key determines.

        Raises:
            InputError: the spacing has no end at ``start``, as a ratio at noise alone.
        """
        if self.options.spacing == "logit_normal":
            inner_BN = logit_normal(noise.normal("times", (steps - 1,)).double()).sort(dim=1).values
            return 1 - start + start * functional.pad(functional.pad(inner_BN, (1, 0)), (0, 1), value=1.0)
        spacing = spacing_on(self.options.spacing, schedule, "spacing")
        # Officially even times end at the data itself, to which log(σ/α) has no end.
        end = 0.0 if spacing == "time" else schedule.min_time
        falling = spaced_times(schedule, start, end, [i / steps for i in range(steps)], spacing)
        times_N = 1 - schedule.tensors([*falling, 0.0], noise.device)
        return times_N.expand(len(noise.keys), -1)

    def _estimate(
        self,
        network: Denoiser,
        space: Space,
        z: Tensor,
        s_B: Tensor,
        batches: Sequence[Batch],
        previous: Tensor | None,
    ) -> Tensor:
        """Return x̂; with two batches, without and with the condition, x̂_∅ + s·(x̂ − x̂_∅)."""
        found = []
        for batch in batches:
            pinned = space.pin(z, space.embed_condition(batch), batch)
            found.append(
                network.denoise(pinned, s_B, batch, previous=previous, guidance=self.options.guidance).x0
            )
        return (
            found[0] if len(found) == 1 else torch.lerp(found[0], found[1], self.options.condition_guidance)
        )


def velocity(z: Tensor, x: Tensor, t_B: Tensor) -> Tensor:
    """v = (x̂ − z)/max(1 − t, 0.05), at official times t [B]; states [B, …]."""
    return (x - z) / expand((1 - t_B).clamp(min=LEAST_LEFT), z)


def euler(z: Tensor, x: Tensor, t_B: Tensor, after_B: Tensor) -> Tensor:
    """Return z + (t' − t)·v, the state at t' = ``after_B``."""
    return z + expand(after_B - t_B, z) * velocity(z, x, t_B)


def renoised(z: Tensor, t_B: Tensor, after_B: Tensor, gamma: float, fresh: Tensor) -> tuple[Tensor, Tensor]:
    """Return a·z + (1 − a)·2n and its time a·t, with a = 1 − γ·(t' − t), at least 0.

    It is no exact draw from the forward process: the noise that was in z is not independent of it.
    """
    a_B = (1 - gamma * (after_B - t_B)).clamp(min=0)
    a = expand(a_B, z)
    return a * z + (1 - a) * NOISE_SCALE * fresh, a_B * t_B
