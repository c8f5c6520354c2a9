"""Choose among drawn sequences the one that has most in common with the others (Kumar and Byrne 2004)."""

import torch
from torch import Tensor

#: The share of tokens in common from which a sequence is nearly its source.
NEAR = 0.9
#: How finely scores are told apart.
STEPS = 10_000


def common(first: Tensor, second: Tensor, is_first: Tensor, is_second: Tensor) -> tuple[Tensor, Tensor]:
    """Return how alike sequences are, by tokens and by pairs of neighbours: F1 of what both have, each [...].

    Args:
        first, second: tokens [..., L] and [..., M].
        is_first, is_second: True where they are text.
    """
    same = first[..., :, None] == second[..., None, :]
    same = same & is_first[..., :, None] & is_second[..., None, :]
    pairs = same[..., :-1, :-1] & same[..., 1:, 1:]
    lengths = is_first.sum(-1) + is_second.sum(-1)
    return _f1(same, lengths), _f1(pairs, lengths - 2)


def _f1(same: Tensor, lengths: Tensor) -> Tensor:
    found = same.any(-1).sum(-1) + same.any(-2).sum(-1)
    return found / lengths.clamp(min=1)


def most_alike(tokens_BDL: Tensor, text_BDL: Tensor, source_BL: Tensor, is_source_BL: Tensor) -> Tensor:
    """Return which of D sequences [B] has most in common with the others, by tokens and pairs of them.

    Sequences that are nearly their source are passed over, unless all are.

    Args:
        tokens_BDL: the sequences.
        text_BDL: True where they are text.
        source_BL: the condition's tokens.
        is_source_BL: True where these are text.
    """
    tokens, pairs = common(
        tokens_BDL[:, :, None], tokens_BDL[:, None], text_BDL[:, :, None], text_BDL[:, None]
    )
    copied, _ = common(tokens_BDL, source_BL[:, None], text_BDL, is_source_BL[:, None])
    # Rounded, so that equal ones stay equal in whatever order they are added up; the first is taken.
    score_BD = ((tokens + pairs).sum(2) * STEPS).round()
    return torch.where(copied >= NEAR, score_BD - 2 * STEPS * score_BD.shape[1], score_BD).argmax(1)
