"""LangFlow's training loss: cross-entropy at a random noise level, and the fit of the schedule to it.

The official training code is not released; this is the loss that the paper describes.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch
from dlmone.core.step.losses import masked_mean

from .network import LangFlowNetwork
from .space import LangFlowSpace


class LossParts(NamedTuple):
    """The terms of the loss, [B] each.

    ``cross_entropy_B`` trains network and table, ``schedule_B`` the schedule's three parameters alone.
    """

    cross_entropy_B: Tensor
    schedule_B: Tensor


def training_loss(
    network: LangFlowNetwork,
    space: LangFlowSpace,
    batch: Batch,
    t_B: Tensor,
    noise_BLD: Tensor,
    conditioned_B: Tensor,
    ramp: float = 1.0,
) -> LossParts:
    """Return the mean of −log p(token | e_t) over generated positions, and (sg(CE) − H(γ))².

    Uniform quantiles need no weights: the schedule's density is the weighting. Every token counts alike,
    padding too: padding that counts less makes sampled texts too long.

    Args:
        t_B: quantiles.
        noise_BLD: standard normal.
        conditioned_B: bool; samples that read their own x0 of a first pass, without gradient.
        ramp: the size of the logits' Bayes term.
    """
    schedule, e_BLD = space.schedule, space.embed(batch)
    e_t_BLD = space.pin(schedule.diffuse(e_BLD, t_B, noise_BLD), e_BLD, batch)
    previous_BLD = first_estimate(network, space, batch, t_B, e_t_BLD, conditioned_B, ramp)
    logits_BLV = network.predict(e_t_BLD, t_B, batch, previous_BLD, ramp).logits_BLV
    nll_BL = functional.cross_entropy(logits_BLV.transpose(1, 2), batch.tokens_BL, reduction="none")
    cross_entropy_B = masked_mean(nll_BL, batch.target_BL)
    surrogate_B = space.proposal.surrogate_entropy(schedule.gamma(t_B).float())
    return LossParts(cross_entropy_B, (cross_entropy_B.detach() - surrogate_B) ** 2)


@torch.no_grad()
def first_estimate(
    network: LangFlowNetwork,
    space: LangFlowSpace,
    batch: Batch,
    t_B: Tensor,
    e_t_BLD: Tensor,
    conditioned_B: Tensor,
    ramp: float,
) -> Tensor | None:
    """Return x0 of a pass over the chosen samples at the same state and time, zeros for the others."""
    rows_N = conditioned_B.nonzero()[:, 0]
    if not network.self_conditioning or not len(rows_N):
        return None
    ids = tuple(batch.ids[row] for row in rows_N.tolist())
    chosen = Batch(ids, batch.tokens_BL[rows_N], batch.target_BL[rows_N])
    logits_NLV = network.predict(e_t_BLD[rows_N], t_B[rows_N], chosen, None, ramp).logits_BLV
    estimate_BLD = torch.zeros_like(e_t_BLD)
    estimate_BLD[rows_N] = space.mixture(logits_NLV.softmax(-1))
    return estimate_BLD
