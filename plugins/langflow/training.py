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
    where_BL = batch.target_BL
    logits_NV = network.predict(e_t_BLD, t_B, batch, previous_BLD, ramp, where_BL=where_BL).logits
    nll_N = functional.cross_entropy(logits_NV, batch.tokens_BL[where_BL], reduction="none")
    nll_BL = nll_N.new_zeros(where_BL.shape).masked_scatter(where_BL, nll_N)
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
    """Return x0 of a pass over the chosen samples at the same state and time.

    It is zero for the others, and at given positions, where it isn't read.
    """
    rows_N = conditioned_B.nonzero()[:, 0]
    if not network.self_conditioning or not len(rows_N):
        return None
    ids = tuple(batch.ids[row] for row in rows_N.tolist())
    chosen = Batch(ids, batch.tokens_BL[rows_N], batch.target_BL[rows_N])
    where_NL = chosen.target_BL
    found = network.predict(e_t_BLD[rows_N], t_B[rows_N], chosen, None, ramp, where_BL=where_NL)
    estimate_BLD = torch.zeros_like(e_t_BLD)
    estimate_NLD = estimate_BLD[rows_N]
    estimate_NLD[where_NL] = space.mixture(found.logits.softmax(-1))
    estimate_BLD[rows_N] = estimate_NLD
    return estimate_BLD
