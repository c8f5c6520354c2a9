"""Counting n-grams, n = 1..4, without building one: those of a sequence, and those that two share.

Two n-grams are equal where n consecutive tokens are: an AND of comparisons of tokens, shifted. The *rank* of
an n-gram is the number of its equals before it in its sequence. Distinct n-grams are those of rank 0, and an
n-gram of a hypothesis is a clipped match where its rank is less than its count in the reference (BLEU's
clipping, Papineni et al., 2002). The Triton kernels in ``kernels/ngrams.py`` follow the same algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .tokens import PAD, Sequences, buckets, on_device, places

if TYPE_CHECKING:
    import torch

#: BLEU-4 and Div-4 need no longer n-grams.
ORDERS = 4
#: The rank of an n-gram that would reach past its sequence: no count exceeds it.
NO_RANK = 2**31 - 1
#: Positions in the sides of one group's tiles: what is held for them stays in a core's cache.
_CELLS = 1 << 15


def clipped_matches(
    sequences: Sequences[NDArray[Any]], pairs_P2: NDArray[Any], device: torch.device | None = None
) -> NDArray[np.int32]:
    """Return how many n-grams the two sequences of each pair share, [P, 4].

    Entry n - 1 is the sum over distinct n-grams of the lesser of the two counts: whichever of the two is
    called the hypothesis. With a ``device`` a Triton kernel counts there.
    """
    if device is not None:
        from .kernels.ngrams import clipped_matches as kernel

        counted: NDArray[np.int32] = kernel(*on_device(device, sequences, pairs_P2)).cpu().numpy()
        return counted
    tokens_T, ranks_NT = sequences.tokens_T, ranks(sequences)
    matches_PN = np.zeros((len(pairs_P2), ORDERS), np.int32)
    for pairs in buckets(*sequences.lengths_S[pairs_P2.T], cells=_CELLS):
        hypotheses_HP, references_RP = (places(sequences, side) for side in pairs_P2[pairs].T)
        counts_NHP = _counts(tokens_T[hypotheses_HP], tokens_T[references_RP])
        ranks_NHP = np.take(ranks_NT, hypotheses_HP, axis=1)
        matches_PN[pairs] = (ranks_NHP < counts_NHP).sum(axis=1).T
    return matches_PN


def distinct(
    sequences: Sequences[NDArray[Any]], device: torch.device | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many different n-grams each sequence has, and how many in all, twice [4, S].

    Sequences must not overlap. Pool those of a group to count what is different within the group.
    """
    ranks_NT = ranks(sequences, device)
    ends_S = sequences.starts_S + sequences.lengths_S

    def inside(places_NT: NDArray[np.bool_]) -> NDArray[np.int64]:
        # A sequence ends at a PAD, where nothing is counted: empty sequences need no exception.
        sums_NT = places_NT.cumsum(1, dtype=np.int64)
        first_NS = places_NT[:, sequences.starts_S]
        count_NS: NDArray[np.int64] = sums_NT[:, ends_S] - sums_NT[:, sequences.starts_S] + first_NS
        return count_NS

    return inside(ranks_NT == 0), inside(ranks_NT < NO_RANK)


def ranks(sequences: Sequences[NDArray[Any]], device: torch.device | None = None) -> NDArray[np.int32]:
    """Return the rank of the n-gram that starts at each place, [4, T], `NO_RANK` where none does.

    Sequences must not overlap. With a ``device`` a Triton kernel ranks there.
    """
    if device is not None:
        from .kernels.ngrams import ranks as kernel

        ranked: NDArray[np.int32] = kernel(*on_device(device, sequences)).cpu().numpy()
        return ranked
    ranks_NT = np.full((ORDERS, len(sequences.tokens_T)), NO_RANK, np.int32)
    for rows in buckets(sequences.lengths_S, cells=_CELLS):
        places_LS = places(sequences, rows)
        tokens_LS: NDArray[Any] = sequences.tokens_T[places_LS]
        ranks_NLS = np.zeros((ORDERS, *tokens_LS.shape), _counter(len(tokens_LS)))
        for shift in range(1, len(tokens_LS)):
            for n, equal in enumerate(_equal(tokens_LS[:-shift], tokens_LS[shift:])):
                ranks_NLS[n, shift : shift + len(equal)] += equal
        for n, present in enumerate(_equal(tokens_LS != PAD, True)):
            exists = present.view(bool)
            ranks_NT[n, places_LS[: len(exists)][exists]] = ranks_NLS[n, : len(exists)][exists]
    return ranks_NT


def _counts(hypotheses_HP: NDArray[Any], references_RP: NDArray[Any]) -> NDArray[Any]:
    """Return how often the n-gram that starts at each hypothesis position is in the reference, [4, H, P].

    What stands where no n-gram starts means nothing. Counted diagonal by diagonal: along one of them, equal
    n-grams are runs of n equal tokens.
    """
    height, width = len(hypotheses_HP), len(references_RP)
    counts_NHP = np.zeros((ORDERS, *hypotheses_HP.shape), _counter(width))
    for shift in range(1 - height, width):
        start, stop = max(0, -shift), min(height, width - shift)
        ngrams = _equal(hypotheses_HP[start:stop], references_RP[start + shift : stop + shift])
        for n, equal in enumerate(ngrams):
            counts_NHP[n, start : start + len(equal)] += equal
    return counts_NHP


def _equal(first_LP: NDArray[Any], second_LP: NDArray[Any] | bool) -> Iterator[NDArray[np.uint8]]:
    """Yield for n = 1..4 where two rows of tokens hold equal n-grams, [L - n + 1, P], 0 or 1."""
    tokens = equal = (first_LP == second_LP).view(np.uint8)
    yield equal
    for n in range(1, ORDERS):
        equal = equal[:-1] & tokens[n:]
        yield equal


def _counter(length: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type that can count to a length: bytes are added eight times as fast as words."""
    return np.uint8 if length <= np.iinfo(np.uint8).max else np.uint32
