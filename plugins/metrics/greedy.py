"""BERTScore's greedy matching (Zhang et al., 2020): each token takes the most similar of the other side.

Precision is the weighted mean, over the candidate's tokens, of the greatest cosine with a token of the
reference; recall is the same the other way round. Pairs refer to sentences that are held once each, and
similarities live only as long as their tile: here pairs of like lengths, in the Triton kernel
(``kernels/greedy.py``) a part of one pair.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dlmone.core.accelerator import runs_kernels

from .tokens import buckets

#: Numbers of states that are gathered at a time, 16 MB in float32.
_GATHERED = 1 << 22


@dataclass(frozen=True, slots=True)
class Embedded:
    """S sentences: the tokens of s are ``states_TD[starts_S[s] : starts_S[s] + lengths_S[s]]``.

    Attributes:
        states_TD: unit-length states of the tokens, float32 or bfloat16.
        weights_T: what a token counts in its side's mean, float32: all can be matched, but for 0 none counts.
        starts_S: int64.
        lengths_S: int64.
    """

    states_TD: Tensor
    weights_T: Tensor
    starts_S: Tensor
    lengths_S: Tensor


def greedy_f1(sentences: Embedded, pairs_P2: Tensor, lowest_P2: Tensor) -> Tensor:
    """Return the F1 of each pair (candidate, reference) of sentences, [P] float32 on the sentences' device.

    It is 0 where a side has no token that counts, or where precision and recall are both 0.

    Args:
        lowest_P2: the least that a token's greatest similarity is taken for, for the candidate's tokens and
            for the reference's: −∞ but for bert-score's quirk (see `bertscore.lowest_matches`).
    """
    sums_T = torch.cat([sentences.weights_T.new_zeros(1), sentences.weights_T]).double().cumsum(0)
    weight_S = sums_T[sentences.starts_S + sentences.lengths_S] - sums_T[sentences.starts_S]
    full_P = (weight_S > 0)[pairs_P2].all(1)
    f1_P = sentences.weights_T.new_zeros(len(pairs_P2))
    if runs_kernels(pairs_P2.device):
        from .kernels.greedy import matched_means as kernel

        means_P2 = kernel(sentences, pairs_P2[full_P], lowest_P2[full_P])
    else:
        here = Embedded(*(getattr(sentences, each.name).cpu() for each in fields(Embedded)))
        means_P2 = matched_means(here, pairs_P2[full_P].cpu(), lowest_P2[full_P].cpu()).to(f1_P.device)
    precision_P, recall_P = means_P2.unbind(1)
    f1_P[full_P] = (2 * precision_P * recall_P / (precision_P + recall_P)).nan_to_num_(0, 0, 0)
    return f1_P


def matched_means(sentences: Embedded, pairs_P2: Tensor, lowest_P2: Tensor) -> Tensor:
    """Return precision and recall of each pair, [P, 2]; each side must have a token that counts."""
    means_P2 = sentences.weights_T.new_empty(pairs_P2.shape)
    lengths = sentences.lengths_S[pairs_P2].T.numpy()
    for bucket in buckets(*lengths, cells=max(1, _GATHERED // max(1, sentences.states_TD.shape[1]))):
        rows = torch.from_numpy(bucket)
        sides = [_places(sentences, side_B) for side_B in pairs_P2[rows].T]
        candidate_BLD, reference_BLD = (sentences.states_TD[places_BL].float() for places_BL, _ in sides)
        similarity_BLL = candidate_BLD @ reference_BLD.transpose(1, 2)
        for side, (_, weights_BL) in enumerate(sides):
            best_BL = similarity_BLL.amax(2 - side).maximum(lowest_P2[rows, side, None])
            means_P2[rows, side] = (best_BL * weights_BL).sum(1) / weights_BL.sum(1)
    return means_P2


def _places(sentences: Embedded, sentences_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return where some sentences' tokens stand in ``states_TD``, and their weights, twice [B, L].

    Past a sentence's end stands its last token again, of weight 0: it changes no maximum and no mean.
    """
    lengths_B1 = sentences.lengths_S[sentences_B, None]
    offsets_1L = torch.arange(int(lengths_B1.max()))[None]
    places_BL = sentences.starts_S[sentences_B, None] + offsets_1L.minimum(lengths_B1 - 1)
    return places_BL, sentences.weights_T[places_BL] * (offsets_1L < lengths_B1)
