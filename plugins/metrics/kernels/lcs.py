"""Triton kernel for the longest common subsequence; ``..lcs`` has the algorithm and the CPU's path."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..lcs import WORD
from ..tokens import PAD, Sequences

_PAD = tl.constexpr(PAD)
_WORD = tl.constexpr(WORD)
#: Pairs a program compares side by side, and the warps it has: with fewer, registers spill on an H100.
_BLOCK, WARPS = 16, 4


@triton.jit
def _lcs_kernel(
    tokens_ptr, starts_ptr, lengths_ptr, pairs_ptr, count, carries_ptr, longest, lcs_ptr, BLOCK: tl.constexpr
):
    """Compare a block of pairs; the carries of the additions wait in [P, longest] for the next word."""
    pair_P = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real_P = pair_P < count
    first_P = tl.load(pairs_ptr + 2 * pair_P, mask=real_P, other=0)
    second_P = tl.load(pairs_ptr + 2 * pair_P + 1, mask=real_P, other=0)
    first_start_P = tl.load(starts_ptr + first_P)
    second_start_P = tl.load(starts_ptr + second_P)
    height_P = tl.where(real_P, tl.load(lengths_ptr + first_P), 0)
    width_P = tl.where(real_P, tl.load(lengths_ptr + second_P), 0)
    height = tl.max(height_P, axis=0)
    width = tl.max(width_P, axis=0)
    bits_W = tl.arange(0, _WORD).to(tl.int64)
    full = (tl.full((), 1, tl.int64) << _WORD) - 1
    lcs_P = tl.zeros((BLOCK,), tl.int64)
    for start in range(0, width, _WORD):
        columns_PW = start + bits_W[None, :] + tl.zeros((BLOCK, 1), tl.int64)
        inside_PW = columns_PW < width_P[:, None]
        second_PW = tl.load(tokens_ptr + second_start_P[:, None] + columns_PW, mask=inside_PW, other=_PAD)
        word_P = tl.zeros((BLOCK,), tl.int64) + full
        for row in range(0, height):
            token_P = tl.load(tokens_ptr + first_start_P + row, mask=row < height_P, other=_PAD)
            equal_PW = (second_PW == token_P[:, None]) & inside_PW
            matches_P = tl.sum(equal_PW.to(tl.int64) << bits_W[None, :], axis=1)
            carries = carries_ptr + pair_P * longest + row
            carry_P = tl.load(carries, mask=real_P & (start > 0), other=0).to(tl.int64)
            sums_P = word_P + (word_P & matches_P) + carry_P
            tl.store(carries, (sums_P >> _WORD).to(tl.int8), mask=real_P)
            word_P = (sums_P | (word_P & ~matches_P)) & full
        # The next word reads the carries, maybe in other threads than those that wrote them.
        tl.debug_barrier()
        lcs_P += _WORD - tl.sum((word_P[:, None] >> bits_W[None, :]) & 1, axis=1)
    tl.store(lcs_ptr + pair_P, lcs_P.to(tl.int32), mask=real_P)


def lcs_lengths(sequences: Sequences[Tensor], pairs_P2: Tensor) -> Tensor:
    """Return the length of the longest common subsequence of each pair of sequences, [P], int32."""
    tokens_T, lengths_S = sequences.tokens_T, sequences.lengths_S
    lcs_P = torch.zeros(len(pairs_P2), dtype=torch.int32, device=tokens_T.device)
    if len(pairs_P2):
        longest = int(lengths_S.max())
        carries_PL = torch.empty((len(pairs_P2), longest), dtype=torch.int8, device=tokens_T.device)
        with torch.cuda.device_of(tokens_T):
            _lcs_kernel[(triton.cdiv(len(pairs_P2), _BLOCK),)](
                tokens_T,
                sequences.starts_S.contiguous(),
                lengths_S.contiguous(),
                pairs_P2.contiguous(),
                len(pairs_P2),
                carries_PL,
                longest,
                lcs_P,
                BLOCK=_BLOCK,
                num_warps=WARPS,
            )
    return lcs_P
