"""LangFlow's training loss: cross-entropy at a random noise level, and the fit of the schedule to it.

The official training code is not released; this is the loss that the paper describes.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch
from dlmone.core.step.losses import masked_mean
from dlmone.core.transfer import on_host, to_device

from ..network.denoiser import LangFlowNetwork
from ..space import LangFlowSpace


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
    places_N = places_of(on_host(batch.target_BL), e_BLD.device)
    logits_NV = network.predict(e_t_BLD, t_B, batch, previous_BLD, ramp, places_N=places_N).logits
    tokens_N = batch.tokens_BL.flatten()[places_N]
    nll_N = functional.cross_entropy(logits_NV, tokens_N, reduction="none")
    nll_BL = torch.zeros_like(batch.target_BL, dtype=nll_N.dtype).flatten()
    nll_BL = nll_BL.index_copy(0, places_N, nll_N).view_as(batch.target_BL)
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

    It is zero for the others, and at given positions, where it isn't read. Which samples and positions these
    are is read from the host's memory.
    """
    chosen_B, target_BL = on_host(conditioned_B), on_host(batch.target_BL)
    if not network.self_conditioning or not chosen_B.any():
        return None
    device = e_t_BLD.device
    ids = tuple(batch.ids[row] for row in chosen_B.nonzero()[:, 0].tolist())
    rows_C = places_of(chosen_B, device)
    chosen = Batch(ids, batch.tokens_BL[rows_C], batch.target_BL[rows_C])
    inside_N = places_of(target_BL[chosen_B], device)
    found = network.predict(e_t_BLD[rows_C], t_B[rows_C], chosen, None, ramp, places_N=inside_N)
    places_N = places_of(target_BL & chosen_B[:, None], device)
    estimate_BLD = torch.zeros_like(e_t_BLD)
    estimate_BLD.view(-1, e_t_BLD.shape[-1]).index_copy_(0, places_N, space.mixture(found.logits.softmax(-1)))
    return estimate_BLD


def places_of(where: Tensor, device: torch.device) -> Tensor:
    """Return the indices of a mask's True entries among all of its own, [N] on a device.

    The mask is in the host's memory: how many there are, a GPU would have to tell it.
    """
    return to_device(where.flatten().nonzero()[:, 0], device)
