"""DiffuSeq's training loss, which trains embedding and network together."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from dlmone.core import Batch, Denoiser
from dlmone.core.accelerator import scores_at_once
from dlmone.core.step.losses import masked_mean

from ..space import DiffuSeqSpace


@dataclass(frozen=True, slots=True)
class LossParts:
    """The terms of the loss, [B] each; means over all positions, padding and condition included.

    Attributes:
        mse_B: squared error of the network.
        decoder_nll_B: cross-entropy of the tokens given x0; trains the embedding alone, 0 where it is fixed.
        tT_B: remaining signal of x0 at the last time (about 2·10⁻⁷ with the sqrt schedule).
    """

    mse_B: Tensor
    decoder_nll_B: Tensor
    tT_B: Tensor

    @property
    def loss_B(self) -> Tensor:
        return self.mse_B + self.decoder_nll_B + self.tT_B


def training_loss(
    network: Denoiser,
    space: DiffuSeqSpace,
    batch: Batch,
    t_B: Tensor,
    x0_noise_BLD: Tensor,
    noise_BLD: Tensor,
    *,
    clean_target: bool = False,
    generated_only: bool = False,
) -> LossParts:
    """Noise the embeddings to x0, diffuse x0 to time t, predict x0 (Gong et al. 2023, section 3).

    The condition is pinned at x0, not at the clean embedding, so in training it has the noise of x0. Nothing
    is detached; gradients reach the embedding through target, input and logits.

    Args:
        t_B: times.
        x0_noise_BLD, noise_BLD: standard normal noise.
        clean_target: predict the clean embedding at every t, as the official code did until
            December 2022, and not only at t = 0.
        generated_only: average the network's error over generated positions only; on the others the network
            mostly copies its input.
    """
    schedule = space.schedule
    sigma_first = float(schedule.sigma(torch.tensor(schedule.min_time)))
    alpha_last = float(schedule.alpha(torch.tensor(schedule.max_time)))
    e_BLD = space.embed(batch)
    x0_BLD = e_BLD + sigma_first * x0_noise_BLD
    e_t_BLD = space.pin(schedule.diffuse(x0_BLD, t_B, noise_BLD), x0_BLD, batch)
    prediction_BLD = network.denoise(e_t_BLD, t_B, batch).x0
    clean_B11 = (t_B == schedule.min_time)[:, None, None] | clean_target
    error_BLD = (torch.where(clean_B11, e_BLD, x0_BLD) - prediction_BLD).square()
    where = space.generated(batch) if generated_only else torch.ones_like(error_BLD, dtype=torch.bool)
    learned = space.word_embedding.weight.requires_grad
    return LossParts(
        mse_B=masked_mean(error_BLD, where),
        decoder_nll_B=token_nll(space, x0_BLD, batch.tokens_BL).mean(1)
        if learned
        else torch.zeros_like(t_B, dtype=error_BLD.dtype),
        tT_B=alpha_last**2 * x0_BLD.square().mean((1, 2)),
    )


def token_nll(space: DiffuSeqSpace, state_BLD: Tensor, tokens_BL: Tensor) -> Tensor:
    """Return −log p(token | state) under the softmax of the space's logits, [B, L].

    With a vocabulary of 30,000 the logits of a whole batch need more memory than the network's activations.
    So they are computed for as many rows at a time as the device should hold, and again in the backward
    pass.
    """
    rows_ND, tokens_N = state_BLD.flatten(0, 1), tokens_BL.flatten()

    def nll(rows_ND: Tensor, tokens_N: Tensor) -> Tensor:
        return functional.cross_entropy(space.logits(rows_ND).float(), tokens_N, reduction="none")

    at_once = max(1, scores_at_once(state_BLD.device) // space.word_embedding.num_embeddings)
    if len(rows_ND) <= at_once:
        return nll(rows_ND, tokens_N).view(tokens_BL.shape)
    chunks = zip(torch.split(rows_ND, at_once), torch.split(tokens_N, at_once), strict=True)
    parts = [checkpoint(nll, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    return torch.cat(parts).view(tokens_BL.shape)
