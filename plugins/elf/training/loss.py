"""ELF's training loss: velocities for most samples, for the others cross-entropy of the decoding mode."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch, Noise
from dlmone.core.model.schedule import expand
from dlmone.core.transfer import on_host, to_device

from ..network import ElfNetwork
from ..options import ElfOptions
from ..samplers import velocity
from ..schedule import NOISE_SCALE, logit_normal
from ..space import ElfSpace

#: Mean and standard deviation of the normal draw under λ, the share of signal in a state to be decoded.
DECODER_MEAN, DECODER_STD = 0.8, 0.8
#: 1 + w is log-uniform between these.
LEAST_SCALE, MOST_SCALE = 1.5, 6.0


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of one loss.

    Attributes:
        t_B: official times, 1 at clean data.
        noise_BLD: standard normal.
        decoded_B: samples that train the decoding mode.
        signal_BL: λ of each token of theirs.
        decoder_noise_BLD: standard normal.
        conditioned_B: samples that read an estimate of their own.
        w_B: scales of self-conditioning guidance.
        kept_B: samples that keep their condition; None if all do.
    """

    t_B: Tensor
    noise_BLD: Tensor
    decoded_B: Tensor
    signal_BL: Tensor
    decoder_noise_BLD: Tensor
    conditioned_B: Tensor
    w_B: Tensor
    kept_B: Tensor | None = None

    @classmethod
    def of(cls, noise: Noise, space: ElfSpace, options: ElfOptions) -> Self:
        """Draw by name, each from its key."""
        shape, dropout = space.state_shape, options.condition_dropout
        return cls(
            logit_normal(noise.normal("t", ())),
            noise.normal("noise", shape),
            noise.chosen("mode", options.decoder_rate),
            logit_normal(noise.normal("signal", shape[:1]), DECODER_MEAN, DECODER_STD),
            noise.normal("decoder noise", shape),
            noise.chosen("self", options.self_conditioning_rate),
            guidance_scale(noise.uniform("scale")),
            noise.uniform("condition") >= dropout if dropout else None,
        )


class LossParts(NamedTuple):
    """Sums over the counted positions of each sample, one of the two always 0, and their number, [B] each."""

    velocity_B: Tensor
    cross_entropy_B: Tensor
    count_B: Tensor


def guidance_scale(uniform_B: Tensor) -> Tensor:
    """Return w = 1.5·4^u − 1 of draws in [0, 1), so that 1 + w is log-uniform on [1.5, 6), float32."""
    return (LEAST_SCALE * (MOST_SCALE / LEAST_SCALE) ** uniform_B - 1).float()


def training_loss(
    network: ElfNetwork, space: ElfSpace, batch: Batch, draws: Draws, decoder_noise: float
) -> LossParts:
    """Return the parts of the loss, Σ (v̂ − v*)² /D and Σ −log p(token), over counted positions.

    v* is the velocity to the data, (x − z)/(1 − t). A sample that reads its own estimate has
    (1 − 1/w)·(v_c − v_∅) added to it, v_∅ from a pass without the estimate and v_c from one with it. So the
    network learns to answer as if guided by w.
    """
    generated = space.generated(batch)
    x_BLD = space.states(batch, draws.kept_B)
    z_BLD = torch.where(generated, noised(x_BLD, draws.t_B, draws.noise_BLD), x_BLD)
    target_BLD = velocity(z_BLD, x_BLD, draws.t_B)
    estimate_BLD = torch.where(generated, 0, x_BLD)
    # Read from the host's memory: how many they are, a GPU would have to tell it.
    reading_N = (on_host(draws.conditioned_B) & ~on_host(draws.decoded_B)).nonzero()[:, 0]
    if len(reading_N):
        reading_N = to_device(reading_N, z_BLD.device)
        first, guided = guided_velocity(network, z_BLD, estimate_BLD, generated, draws, reading_N)
        estimate_BLD[reading_N] = first
        target_BLD[reading_N] += guided

    decoded_B11 = draws.decoded_B[:, None, None]
    corrupted_BLD = corrupted(x_BLD, draws.signal_BL, decoder_noise * draws.decoder_noise_BLD)
    pair_BLE = torch.cat(
        [torch.where(decoded_B11, corrupted_BLD, z_BLD), estimate_BLD.masked_fill(decoded_B11, 0)], dim=-1
    )
    time_B = draws.t_B.masked_fill(draws.decoded_B, 1)
    h_BLH = network.hidden(pair_BLE, time_B.float(), draws.w_B, draws.decoded_B.float())[-1]
    error_BL = (velocity(z_BLD, network.estimate(h_BLH), draws.t_B) - target_BLD).square().mean(-1)
    nll_BL = cross_entropy(network.logits(h_BLH), batch.tokens_BL)
    counted_BL = space.counted(batch)
    return LossParts(
        (error_BL * counted_BL).sum(1).masked_fill(draws.decoded_B, 0),
        (nll_BL * counted_BL).sum(1).masked_fill(~draws.decoded_B, 0),
        counted_BL.sum(1),
    )


@torch.no_grad()
def guided_velocity(
    network: ElfNetwork,
    z_BLD: Tensor,
    given_BLD: Tensor,
    generated: Tensor,
    draws: Draws,
    rows_N: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return x̂ of a first pass over some rows, and (1 − 1/w)·(v_c − v_∅), [N, L, D] each."""
    z, given, generated = z_BLD[rows_N], given_BLD[rows_N], generated[rows_N]
    t_N, w_N = draws.t_B[rows_N].float(), draws.w_B[rows_N]
    plain = network.estimate(network.hidden(torch.cat([z, given], dim=-1), t_N, w_N)[-1])
    first = torch.where(generated, plain, given)
    second = network.estimate(network.hidden(torch.cat([z, first], dim=-1), t_N, w_N)[-1])
    gap = velocity(z, second, t_N) - velocity(z, plain, t_N)
    return first, expand(1 - 1 / w_N, gap) * gap


def noised(x: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
    """z = t·x + (1 − t)·2n, at official times."""
    t = expand(t_B, x)
    return t * x + (1 - t) * NOISE_SCALE * noise


def corrupted(x_BLD: Tensor, signal_BL: Tensor, noise_BLD: Tensor) -> Tensor:
    """λ·x + (1 − λ)·n: states to be decoded, each token with a λ of its own."""
    signal_BL1 = signal_BL[..., None]
    return signal_BL1 * x_BLD + (1 - signal_BL1) * noise_BLD


def cross_entropy(logits_BLV: Tensor, tokens_BL: Tensor) -> Tensor:
    """Return −log p(token) at each position, [B, L]."""
    return functional.cross_entropy(logits_BLV.transpose(1, 2), tokens_BL, reduction="none")
