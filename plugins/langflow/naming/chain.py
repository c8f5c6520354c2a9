"""Decode the tokens of a sequence together, by a linear chain, and not each by itself.

Far from the data a model's positions do not know of each other: where "how do i" and "how can i" are as
likely, the likeliest tokens by themselves may read "how do can". With transitions between neighbours, as in
structured decoding for non-autoregressive translation (Sun et al. 2019), the whole sequence is the likeliest.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dlmone.core import Batch, Noise
from dlmone.core.accelerator import scores_at_once

from .consensus import Triples, best_draw
from .options import ChainOptions

Pairs = Callable[[Tensor, Tensor], Tensor]

#: The name of the uniform numbers that draw sequences at a temperature (`ChainOptions.draw_shape`).
DRAW = "chain"


def best_sequence(scores_BLK: Tensor, transitions_BMKK: Tensor) -> Tensor:
    """Return the choice at each position, [B, L], for which scores and transitions add up to most (Viterbi).

    Args:
        scores_BLK: of K choices at each of L positions.
        transitions_BMKK: of neighbouring choices, M = L − 1: ``[:, l, i, j]`` from i at l to j at l + 1.
    """
    best_BK, came_from = scores_BLK[:, 0], []
    for scores_BK, transitions_BKK in zip(
        scores_BLK[:, 1:].unbind(1), transitions_BMKK.unbind(1), strict=True
    ):
        reached_BK, from_BK = (best_BK[:, :, None] + transitions_BKK).max(1)
        best_BK = reached_BK + scores_BK
        came_from.append(from_BK)
    choice_B1 = best_BK.argmax(1, keepdim=True)
    choices = [choice_B1]
    for from_BK in reversed(came_from):
        choice_B1 = from_BK.gather(1, choice_B1)
        choices.append(choice_B1)
    return torch.cat(choices[::-1], dim=1)


def drawn_sequences(scores_BLK: Tensor, transitions_BMKK: Tensor, uniform_BDL: Tensor) -> Tensor:
    """Return D times choices [B, D, L], drawn with probability ∝ exp of their sum of scores and transitions.

    What comes after each choice is summed up backwards, once for all draws; then choices are drawn one by
    one, by inversion.

    Args:
        scores_BLK, transitions_BMKK: as in `best_sequence`.
        uniform_BDL: uniform numbers in [0, 1).
    """
    after_BK = torch.zeros_like(scores_BLK[:, -1])
    later = [after_BK]
    for scores_BK, transitions_BKK in zip(
        scores_BLK[:, 1:].flip(1).unbind(1), transitions_BMKK.flip(1).unbind(1), strict=True
    ):
        after_BK = (transitions_BKK + (scores_BK + after_BK)[:, None]).logsumexp(2)
        later.append(after_BK)
    reach_BDK = torch.zeros_like(after_BK)[:, None].expand(-1, uniform_BDL.shape[1], -1)
    choices: list[Tensor] = []
    for place, after_BK in enumerate(reversed(later)):
        if place:
            row_BDK = choices[-1][..., None].expand(-1, -1, transitions_BMKK.shape[-1])
            reach_BDK = transitions_BMKK[:, place - 1].gather(1, row_BDK)
        up_to_BDK = (reach_BDK + scores_BLK[:, place, None] + after_BK[:, None]).softmax(-1).cumsum(-1)
        # Rounded, the last is not 1, and a number above it would choose what has no chance.
        below_BDK = up_to_BDK[..., :-1] <= uniform_BDL[..., place, None] * up_to_BDK[..., -1:]
        choices.append(below_BDK.sum(-1))
    return torch.stack(choices, dim=2)


def copied_pairs(tokens_BLK: Tensor, source_BS: Tensor, text_BS: Tensor) -> Tensor:
    """Return which neighbouring choices stand side by side in a source too, [B, L − 1, K, K] bool.

    Args:
        tokens_BLK: the choices at each position.
        source_BS: the source's tokens.
        text_BS: True where they are text.
    """
    found_BLKS = ((tokens_BLK[..., None] == source_BS[:, None, None]) & text_BS[:, None, None]).float()
    # A product of matrices sums over the source's places what a comparison of pairs would keep apart.
    return found_BLKS[:, :-1, :, :-1] @ found_BLKS[:, 1:, :, 1:].mT > 0


def chained_tokens(
    logits_BLV: Tensor,
    batch: Batch,
    chain: ChainOptions,
    pairs: Pairs | None,
    markers: tuple[int, ...],
    noise: Noise,
    information_V: Tensor | None = None,
    triples: Triples | None = None,
    static: bool = False,
) -> Tensor:
    """Return the tokens [B, L] whose sequence is the likeliest, or drawn; given positions keep theirs.

    A sequence's score is Σ log p(token) + weight·Σ log P(token | the one before) + bonus for each token that
    is no marker − copy_penalty for each pair of neighbours that stands in the condition too, whose log P is
    copy_floor at least. The one before may be given. At a temperature T, sequences are drawn with probability
    ∝ exp(score/T); of several draws `best_draw` chooses one.

    Args:
        logits_BLV: of the network, for each position by itself.
        chain: how sequences are scored, and their temperature.
        pairs: log P(second | first); not asked where the weight is 0.
        markers: tokens that stand for no text: they may follow themselves, and have no bonus.
        noise: the batch's; its draw is named `DRAW`.
        information_V: −log P of each token, P its share as the second of different pairs, for `coverage`.
        triples: whether the data have a triple, for `known`.
        static: name all rows at once, as one static expression; otherwise as many as the device has room for.
    """
    length, top_k = logits_BLV.shape[1], min(chain.top_k, logits_BLV.shape[2])
    rows = [logits_BLV, batch.target_BL, batch.tokens_BL]
    if chain.temperature:
        rows.append(noise.uniform(DRAW, chain.draw_shape(length)))
    choose = partial(best_draw, chain=chain, information_V=information_V, triples=triples, static=static)
    if static:
        return _tokens(chain, pairs, markers, choose, *rows)
    # Of a position: its choices against the next one's or a row; and all draws of it against all others.
    choices = top_k * max(top_k, length if _looks_back(chain) else 0)
    scores = max(choices, chain.draws**2 * length if chain.draws > 1 else 0)
    at_once = max(1, scores_at_once(logits_BLV.device) // (length * scores))
    parts = zip(*(torch.split(tensor, at_once) for tensor in rows), strict=True)
    return torch.cat([_tokens(chain, pairs, markers, choose, *part) for part in parts])


def _looks_back(chain: ChainOptions) -> bool:
    """Return whether it matters which pairs of neighbours the condition has."""
    return chain.copy_penalty > 0 or chain.copy_floor is not None


def _tokens(
    chain: ChainOptions,
    pairs: Pairs | None,
    markers: tuple[int, ...],
    choose: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    logits_BLV: Tensor,
    target_BL: Tensor,
    tokens_BL: Tensor,
    uniform: Tensor | None = None,
) -> Tensor:
    scores_BLK, tokens_BLK = logits_BLV.float().topk(min(chain.top_k, logits_BLV.shape[2]), dim=-1)
    # All choices of a given position are its token, so that any of them will do.
    tokens_BLK = torch.where(target_BL[..., None], tokens_BLK, tokens_BL[..., None])
    marker_BLK = _any_of(markers, tokens_BLK)
    scores_BLK = scores_BLK + chain.bonus * ~marker_BLK
    is_source_BL = ~target_BL & ~_any_of(markers, tokens_BL)
    first, second = tokens_BLK[:, :-1, :, None], tokens_BLK[:, 1:, None, :]
    if chain.weight and pairs is not None:
        likely_BMKK = pairs(first, second)
    else:
        likely_BMKK = torch.zeros_like(first - second, dtype=scores_BLK.dtype)
    transitions_BMKK = chain.weight * likely_BMKK
    if _looks_back(chain):
        copied_BMKK = copied_pairs(tokens_BLK, tokens_BL, is_source_BL)
        floor = -math.inf if chain.copy_floor is None else chain.copy_floor
        floored_BMKK = chain.weight * likely_BMKK.clamp(min=floor) - chain.copy_penalty
        transitions_BMKK = torch.where(copied_BMKK, floored_BMKK, transitions_BMKK)
    if not chain.repeats:
        repeated = (first == second) & ~marker_BLK[:, 1:, None, :] & target_BL[:, 1:, None, None]
        transitions_BMKK = transitions_BMKK.masked_fill(repeated, -torch.inf)
    if uniform is None:
        return _at(tokens_BLK, best_sequence(scores_BLK, transitions_BMKK))
    scores_BLK, transitions_BMKK = scores_BLK / chain.temperature, transitions_BMKK / chain.temperature
    uniform_BDL = uniform if chain.draws > 1 else uniform[:, None]
    choice_BDL = drawn_sequences(scores_BLK, transitions_BMKK, uniform_BDL)
    drawn_BDL = _at(tokens_BLK[:, None].expand(-1, chain.draws, -1, -1), choice_BDL)
    if chain.draws == 1:
        return drawn_BDL[:, 0]
    text_BDL = target_BL[:, None] & ~_any_of(markers, drawn_BDL)
    best_B = choose(drawn_BDL, text_BDL, tokens_BL, is_source_BL)
    return drawn_BDL.gather(1, best_B[:, None, None].expand(-1, 1, drawn_BDL.shape[2]))[:, 0]


def _at(tokens: Tensor, choice: Tensor) -> Tensor:
    """Return the chosen ones of tokens [..., L, K], by indices [..., L]."""
    return tokens.gather(-1, choice[..., None])[..., 0]


def _any_of(markers: tuple[int, ...], tokens: Tensor) -> Tensor:
    return torch.stack([tokens == marker for marker in markers]).any(0)
