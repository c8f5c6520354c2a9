"""LangFlow's bounds on −log p(text), in nats a sequence: along the probability-flow ODE, or by the SDE.

With s = α/σ and y = z/σ the flow is dy/ds = x0(σy, γ). Its divergence is estimated with one probe u ~ N(0, I)
an evaluation (Hutchinson): dA/ds = σ·uᵀ(∂x0/∂z)u.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch
from dlmone.core.model.schedule import expand

from .network.denoiser import LangFlowNetwork
from .space import LangFlowSpace

#: Who reads an earlier estimate of x0: nobody, or the second of two passes. Its part in the divergence is
#: left out (the official main branch) or followed back to z.
SelfConditioning = Literal["none", "detached", "followed"]


class Likelihood(NamedTuple):
    """A bound's three parts, [B] each: tokens given the cleanest state, flow or diffusion, and prior."""

    reconstruction_B: Tensor
    path_B: Tensor
    prior_B: Tensor

    @property
    def nll_B(self) -> Tensor:
        return self.reconstruction_B + self.path_B + self.prior_B


class Bound:
    """What the two bounds share: a model, a batch, and the positions that count.

    Args:
        network, space: the model, in evaluation mode.
        batch: texts without a condition.
        counted_BL: 1 at positions that count; all if None. The network sees the others too.
        self_conditioning: as above.
    """

    def __init__(
        self,
        network: LangFlowNetwork,
        space: LangFlowSpace,
        batch: Batch,
        counted_BL: Tensor | None = None,
        self_conditioning: SelfConditioning = "detached",
    ) -> None:
        self.network, self.space, self.batch = network, space, batch
        counted_BL = torch.ones(batch.tokens_BL.shape) if counted_BL is None else counted_BL
        self.counted_BL1 = counted_BL.float()[..., None].to(batch.tokens_BL.device)
        self.self_conditioning = self_conditioning if network.self_conditioning else "none"
        self.e = space.embed(batch).detach()

    def by_flow(
        self,
        noise_BLD: Tensor,
        probes: Iterator[Tensor],
        times: Sequence[float],
        method: Literal["euler", "heun"] = "heun",
    ) -> Likelihood:
        """Return the bound along the ODE, integrated upwards in noise.

        Args:
            noise_BLD: standard normal, of the cleanest state.
            probes: standard normal [B, L, D], one an evaluation of the flow.
            times: quantiles from the cleanest to the noisiest, as of `quantiles`.
            method: Euler's, or Heun's: the mean of the slopes at both ends of Euler's step.
        """
        schedule = self.space.schedule
        time_N = schedule.tensors(times, self.e.device)
        s_N = (1 / schedule.ratio(time_N)).tolist()
        first_B = self._times(schedule.min_time)
        z = schedule.diffuse(self.e, first_B, noise_BLD)
        y = z / expand(schedule.sigma(first_B), z)
        divergence_B = y.new_zeros(len(y))
        for (time, later), (s, after) in zip(pairwise(times), pairwise(s_N), strict=True):
            slope, spread_B = self._slopes(y, time, next(probes))
            if method == "heun":
                other, other_B = self._slopes(y + (after - s) * slope, later, next(probes))
                slope, spread_B = (slope + other) / 2, (spread_B + other_B) / 2
            y = y + (after - s) * slope
            divergence_B = divergence_B + (after - s) * spread_B
        entries_B = self.counted_BL1.sum((1, 2)) * y.shape[-1]
        prior_B = (self._sum(y.square()) - entries_B) / 2
        return Likelihood(self._reconstruction(z, first_B), -divergence_B, prior_B)

    @torch.no_grad()
    def by_diffusion(self, noise_BLD: Tensor, draws: Sequence[tuple[Tensor, Tensor]]) -> Likelihood:
        """Return the SDE's bound: ½·e^(−γ)/p(γ)·‖x0 − e‖², a mean over draws of (quantiles [B], noise)."""
        schedule = self.space.schedule
        losses = []
        for t_B, epsilon in draws:
            error_B = self._sum((self._x0(schedule.diffuse(self.e, t_B, epsilon), t_B) - self.e).square())
            gamma_B = schedule.gamma(t_B)
            losses.append(torch.exp(-gamma_B - schedule.log_density(gamma_B)).float() * error_B / 2)
        first, last = self._times(schedule.min_time), self._times(schedule.max_time)
        prior_B = torch.exp(-schedule.gamma(last)).float() * self._sum(self.e.square()) / 2
        z = schedule.diffuse(self.e, first, noise_BLD)
        return Likelihood(self._reconstruction(z, first), torch.stack(losses).mean(0), prior_B)

    def _slopes(self, y: Tensor, time: float, probe: Tensor) -> tuple[Tensor, Tensor]:
        """Return dy/ds [B, L, D] and the estimate of its divergence [B]."""
        t_B = self._times(time)
        sigma = expand(self.space.schedule.sigma(t_B), y)
        u = probe * self.counted_BL1
        with torch.enable_grad():
            z = (sigma * y).detach().requires_grad_()
            x0 = self._x0(z, t_B) * self.counted_BL1
            (product,) = torch.autograd.grad(x0, z, u)
        return x0.detach(), (sigma * product * u).sum((1, 2))

    def _x0(self, z: Tensor, t_B: Tensor) -> Tensor:
        return self.network.denoise(z, t_B, self.batch, previous=self._previous(z, t_B)).x0

    def _previous(self, z: Tensor, t_B: Tensor) -> Tensor | None:
        if self.self_conditioning == "none":
            return None
        estimate = self.network.denoise(z, t_B, self.batch).x0
        return estimate if self.self_conditioning == "followed" else estimate.detach()

    @torch.no_grad()
    def _reconstruction(self, z: Tensor, t_B: Tensor) -> Tensor:
        """Return the sum of −log p(token | z) over positions that count, [B]."""
        logits_BLV = self.network.predict(z, t_B, self.batch, self._previous(z, t_B)).logits
        tokens_BL = self.batch.tokens_BL
        # Flat, as the transpose that cross_entropy would need otherwise takes twice the time of the sum.
        nll_N = functional.cross_entropy(logits_BLV.flatten(0, 1), tokens_BL.flatten(), reduction="none")
        return (nll_N.view_as(tokens_BL) * self.counted_BL1[..., 0]).sum(1)

    def _times(self, time: float) -> Tensor:
        return self.space.schedule.tensor(time, len(self.batch), self.e.device)

    def _sum(self, x: Tensor) -> Tensor:
        return (x * self.counted_BL1).sum((1, 2))


def quantiles(space: LangFlowSpace, steps: int) -> list[float]:
    """Return steps + 1 evenly spaced quantiles, the ends clamped to the trained range."""
    schedule = space.schedule
    grid = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    times: list[float] = grid.clamp(schedule.min_time, schedule.max_time).tolist()
    return times
