"""The longest common subsequence of pairs of sequences, for ROUGE-L.

Bit-parallel dynamic programming (Hyyrö, 2004): 32 columns of the table are the bits of one word, 0 where the
table grows from one column to the next, and one addition takes all of them to the next row. References of
more tokens take a word for every 32 of them; the carries of each row wait for the next word. The Triton
kernel in ``kernels/lcs.py`` follows the same algorithm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .tokens import PAD, Sequences, buckets, on_device, places

if TYPE_CHECKING:
    import torch

#: Bits in a word. It is held in an int64, so that the carry of an addition is its bit 32.
WORD = 32
#: Positions in the sides of one group's tiles: what is held for them stays in a core's cache.
_CELLS = 1 << 15


def lcs_lengths(
    sequences: Sequences[NDArray[Any]], pairs_P2: NDArray[Any], device: torch.device | None = None
) -> NDArray[np.int32]:
    """Return the length of the longest common subsequence of each pair, [P].

    With a ``device`` a Triton kernel finds it there.
    """
    if device is not None:
        from .kernels.lcs import lcs_lengths as kernel

        found: NDArray[np.int32] = kernel(*on_device(device, sequences, pairs_P2)).cpu().numpy()
        return found
    lcs_P = np.zeros(len(pairs_P2), np.int32)
    for pairs in buckets(*sequences.lengths_S[pairs_P2.T], cells=_CELLS):
        first_HP, second_RP = (sequences.tokens_T[places(sequences, side)] for side in pairs_P2[pairs].T)
        lcs_P[pairs] = _lcs(first_HP, second_RP)
    return lcs_P


def _lcs(first_HP: NDArray[Any], second_RP: NDArray[Any]) -> NDArray[np.int64]:
    bits = np.arange(WORD)[:, None]
    full = np.int64(2**WORD - 1)
    carries_HP = np.zeros(first_HP.shape, np.int64)
    lcs_P = np.zeros(first_HP.shape[1], np.int64)
    for start in range(0, len(second_RP), WORD):
        matches_HP = np.zeros(first_HP.shape, np.int64)
        for bit, token_P in enumerate(second_RP[start : start + WORD]):
            matches_HP |= ((first_HP == token_P) & (token_P != PAD)).astype(np.int64) << bit
        word_P = np.full(first_HP.shape[1], full)
        for row, matches_P in enumerate(matches_HP):
            sums_P = word_P + (word_P & matches_P) + carries_HP[row]
            carries_HP[row] = sums_P >> WORD
            word_P = (sums_P | (word_P & ~matches_P)) & full
        lcs_P += WORD - (word_P >> bits & 1).sum(axis=0)
    return lcs_P
