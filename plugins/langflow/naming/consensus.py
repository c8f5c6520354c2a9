"""Choose among drawn sequences: by what the others say too, what the condition says, and what data say."""

from collections.abc import Callable

import torch
from torch import Tensor

from .options import ChainOptions

Triples = Callable[[Tensor, Tensor, Tensor], Tensor]

#: The share of tokens in common from which a sequence is nearly its source.
NEAR = 0.9
#: How finely scores are told apart: equal ones must stay equal in whatever order they are added up. So many
#: times the greatest score, 1 + coverage + known, is a whole number that float32 holds.
STEPS = 100_000


def best_draw(
    tokens_BDL: Tensor,
    text_BDL: Tensor,
    source_BL: Tensor,
    is_source_BL: Tensor,
    chain: ChainOptions,
    information_V: Tensor | None = None,
    triples: Triples | None = None,
    static: bool = False,
) -> Tensor:
    """Return which of D sequences [B] has the greatest score; of equal ones the first.

    The score is `agreement` + coverage·`beside_source` + known·`known_share`. Sequences that are nearly their
    source are passed over, unless all are.

    Args:
        tokens_BDL: the sequences.
        text_BDL: True where they are text.
        source_BL: the condition's tokens.
        is_source_BL: True where these are text.
        chain: the two weights.
        information_V: −log P of each token, required for `coverage`.
        triples: which triples the data have, required for `known`.
        static: one static expression, which does not look at how long the texts are.
    """
    score_BD = agreement(*((tokens_BDL, text_BDL) if static else _to_the_left(tokens_BDL, text_BDL)))
    copied_BD, covered_BD = beside_source(tokens_BDL, text_BDL, source_BL, is_source_BL, information_V)
    if chain.coverage:
        score_BD = score_BD + chain.coverage * covered_BD
    if chain.known:
        assert triples is not None, "the space says so before"
        score_BD = score_BD + chain.known * known_share(tokens_BDL, text_BDL, triples)
    near_BD = copied_BD >= NEAR
    passed_over_BD = near_BD & ~near_BD.all(1, keepdim=True)
    return (score_BD * STEPS).round().masked_fill(passed_over_BD, -torch.inf).argmax(1)


def agreement(tokens_BDL: Tensor, text_BDL: Tensor) -> Tensor:
    """Return how much each sequence has in common with all D, [B, D] in [0, 1] (Kumar and Byrne 2004).

    A mean over the D. Of two: the mean of F1 by tokens and F1 by pairs of neighbours.
    """
    # What is no text equals nothing.
    first_BDL = torch.where(text_BDL, tokens_BDL, -1).int()
    second_BDL = torch.where(text_BDL, tokens_BDL, -2).int()
    same_BDDLL = first_BDL[:, :, None, :, None] == second_BDL[:, None, :, None, :]
    pairs_BDDMM = same_BDDLL[..., :-1, :-1] & same_BDDLL[..., 1:, 1:]
    # Markers may stand within a text: pairs are of neighbours that are text both.
    counts_BD = text_BDL.sum(2), (text_BDL[..., :-1] & text_BDL[..., 1:]).sum(2)
    alike_BDD = [
        _f1(found + found.mT, count_BD[:, :, None] + count_BD[:, None])
        for found, count_BD in zip((_of_first(same_BDDLL), _of_first(pairs_BDDMM)), counts_BD, strict=True)
    ]
    return torch.stack(alike_BDD).mean((0, 3))


def beside_source(
    tokens_BDL: Tensor,
    text_BDL: Tensor,
    source_BL: Tensor,
    is_source_BL: Tensor,
    information_V: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return F1 of the tokens that sequence and source have in common, and what of it is said, [B, D].

    The latter is a share of the information −log P of the source's tokens, so that a name counts for more
    than an article; without it all count alike.
    """
    same_BDLL = tokens_BDL[..., None] == source_BL[:, None, None]
    same_BDLL = same_BDLL & text_BDL[..., None] & is_source_BL[:, None, None]
    lengths_BD = text_BDL.sum(2) + is_source_BL.sum(1, keepdim=True)
    said_BDL = same_BDLL.any(2)
    told_BL = is_source_BL.float() if information_V is None else information_V[source_BL] * is_source_BL
    covered_BD = (said_BDL * told_BL[:, None]).sum(2) / told_BL.sum(1, keepdim=True).clamp(min=1e-6)
    return _f1(_of_first(same_BDLL) + said_BDL.sum(2), lengths_BD), covered_BD


def known_share(tokens_BDL: Tensor, text_BDL: Tensor, triples: Triples) -> Tensor:
    """Return the share of the text's tokens that the data have between the same neighbours, [B, D].

    A row's first and last place have one neighbour alone and are left out.
    """
    known_BDM = triples(tokens_BDL[..., :-2], tokens_BDL[..., 1:-1], tokens_BDL[..., 2:])
    text_BDM = text_BDL[..., 1:-1]
    return (known_BDM & text_BDM).sum(2) / text_BDM.sum(2).clamp(min=1)


def _of_first(same: Tensor) -> Tensor:
    """Return how many of the first's tokens the second has; [..., L, M] is True where two are alike."""
    # In an exported graph a maximum of bytes is three times as fast as `any`.
    return same.to(torch.int8).amax(-1).sum(-1) if same.shape[-1] else same.sum((-2, -1))


def _f1(found: Tensor, lengths: Tensor) -> Tensor:
    """Return F1 from how many are found on both sides, and how many there are on both."""
    return found / lengths.clamp(min=1)


def _to_the_left(tokens_BDL: Tensor, text_BDL: Tensor) -> tuple[Tensor, Tensor]:
    """Return the columns of each row in which there is text: comparing all with all costs their square."""
    used_BL, length = text_BDL.any(1), text_BDL.shape[2]
    place_L = torch.arange(length, device=used_BL.device)
    first_B = torch.where(used_BL, place_L, length).amin(1)
    last_B = torch.where(used_BL, place_L, -1).amax(1)
    width = max(1, int((last_B - first_B).max()) + 1)
    column_BL = first_B[:, None] + place_L[:width]
    index_BDL = column_BL.clamp(max=length - 1)[:, None].expand(-1, tokens_BDL.shape[1], -1)
    inside_BDL = (column_BL < length)[:, None]
    return tokens_BDL.gather(2, index_BDL), text_BDL.gather(2, index_BDL) & inside_BDL
