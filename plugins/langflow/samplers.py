"""LangFlow's sampler: deterministic DDIM down the quantiles, self-conditioned; the last call names tokens."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dlmone.core import Batch, Denoiser, InputError, Noise, NoiseSchedule, Sampler, Space, Start
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.sampling.sampler import require_steps
from dlmone.core.sampling.spacing import spaced_times
from dlmone.registry import spacing_on

from .options import SamplerOptions
from .space import LangFlowSpace


class LangFlowSampler(Sampler):
    """``steps`` network calls from the noisiest time to the cleanest, or to ``until``, both included.

    Officially they are even in quantiles, the schedule's times.

    The final states are the rows of the tokens that the last call's logits name: the mean row x0 would decode
    to its nearest row, which need not be the same.
    """

    def __init__(self, options: SamplerOptions) -> None:
        self.temperature = options.temperature
        self.guidance = options.guidance
        self.spacing = options.spacing
        self.until = options.until
        self.chain = options.chain

    def check(self, schedule: NoiseSchedule) -> None:
        spacing_on(self.spacing, schedule, "spacing")
        self._end(schedule, schedule.max_time)

    def _end(self, schedule: NoiseSchedule, first: float) -> float:
        """Return the last of several calls' time.

        Raises:
            InputError: it is not below the first one's.
        """
        if self.until is None:
            return schedule.min_time
        end = self.until.on(schedule, "until")
        if end >= first:
            raise InputError(f"until: network calls go down from {first:g} and cannot end at {end:g}")
        return end

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
        if not isinstance(space, LangFlowSpace):
            raise InputError("LangFlow's sampler reads token logits, which this model has not; use ddim here")
        require_steps(steps)
        schedule, given = space.schedule, space.embed_condition(batch)
        first = schedule.max_time if start is None else start.time
        shares = [i / max(steps - 1, 1) for i in range(steps)]
        spacing = spacing_on(self.spacing, schedule, "spacing")
        times_N = [first]  # one call, wherever several would end
        if steps > 1:
            times_N = spaced_times(schedule, first, self._end(schedule, first), shares, spacing)
        batches = [batch] if self.guidance == 1 else [space.null_condition(batch), batch]
        z = noise.normal("z", space.state_shape)
        x = z if start is None else start.state(space, z)
        previous: Tensor | None = None
        for i, time in enumerate(times_N):
            t_B = schedule.tensor(time, len(batch), x.device)
            logits_BLV = self._logits(network, space, x, t_B, batches, previous)
            if i + 1 < steps:
                previous = space.mixture((logits_BLV / self.temperature).softmax(-1))
                s_B = schedule.tensor(times_N[i + 1], len(batch), x.device)
                x = step(schedule, previous, x, t_B, s_B)
        chain = space.chain if self.chain == "model" else self.chain
        tokens_BL = space.name_tokens(logits_BLV, batch, chain, noise)
        state = space.embed(replace(batch, tokens_BL=tokens_BL))
        return space.pin(state, given, batch), steps * len(batches)

    def _logits(
        self,
        network: Denoiser,
        space: LangFlowSpace,
        x: Tensor,
        t_B: Tensor,
        batches: Sequence[Batch],
        previous: Tensor | None,
    ) -> Tensor:
        """Return the token logits; with two batches, without and with condition, l_∅ + w·(l − l_∅)."""
        found = []
        # An optional argument is passed where there is something to pass.
        carried: dict[str, Any] = {} if previous is None else {"previous": previous}
        for batch in batches:
            pinned = space.pin(x, space.embed_condition(batch), batch)
            logits_BLV = network.denoise(pinned, t_B, batch, tokens=True, **carried).logits_BLV
            if logits_BLV is None:
                raise InputError("LangFlow's sampler reads token logits, which this network does not give")
            found.append(logits_BLV)
        return found[0] if len(found) == 1 else torch.lerp(found[0], found[1], self.guidance)


def step(schedule: NoiseSchedule, x0: Tensor, x_t: Tensor, t_B: Tensor, s_B: Tensor) -> Tensor:
    """x_s = (σ_s/σ_t)·x_t + (α_s − α_t·σ_s/σ_t)·x0, in float64 as in the official code, stored as float32."""
    return ddim_step(schedule, x0.double(), x_t.double(), t_B, s_B).float()
