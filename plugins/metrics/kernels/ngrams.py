"""Triton kernels for ranks and clipped matches of n-grams; ``..ngrams`` has the algorithm and the CPU's path.

A program compares tiles of positions, one after another: sequences of any length fit, and short ones need no
padding beyond one tile.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..ngrams import NO_RANK, ORDERS
from ..tokens import PAD, Sequences

_PAD = tl.constexpr(PAD)
_NO_RANK = tl.constexpr(NO_RANK)
#: A tile's side: one warp's work, and room for most sentences.
_BLOCK = 32


@triton.jit
def _equal(rows_ptr, rows_R, row_length, columns_ptr, columns_C, column_length, n):
    """Return where the n-grams that start at rows and columns are equal, [R, C]."""
    equal_RC = rows_R[:, None] + columns_C[None, :] >= 0
    for shift in range(0, n):
        row_R = tl.load(rows_ptr + rows_R + shift, mask=rows_R + shift < row_length, other=_PAD)
        column_C = tl.load(
            columns_ptr + columns_C + shift, mask=columns_C + shift < column_length, other=_PAD
        )
        equal_RC = equal_RC & (row_R[:, None] == column_C[None, :])
    return equal_RC


@triton.jit
def _ranks_kernel(tokens_ptr, starts_ptr, lengths_ptr, ranks_ptr, size, BLOCK: tl.constexpr):
    """Rank the n-grams of one tile of one sequence, for one n; ranks are [4, size]."""
    sequence, tile, order = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tokens_ptr += tl.load(starts_ptr + sequence)
    length = tl.load(lengths_ptr + sequence)
    rows_R = tile * BLOCK + tl.arange(0, BLOCK)
    if tile * BLOCK < length:
        rank_R = tl.zeros((BLOCK,), tl.int32)
        for column in range(0, (tile + 1) * BLOCK, BLOCK):
            columns_C = column + tl.arange(0, BLOCK)
            equal_RC = _equal(tokens_ptr, rows_R, length, tokens_ptr, columns_C, length, order + 1)
            earlier_RC = columns_C[None, :] < rows_R[:, None]
            rank_R += tl.sum((equal_RC & earlier_RC).to(tl.int32), axis=1)
        for shift in range(0, order + 1):
            token_R = tl.load(tokens_ptr + rows_R + shift, mask=rows_R + shift < length, other=_PAD)
            rank_R = tl.where(token_R == _PAD, _NO_RANK, rank_R)
        ranks_ptr += order.to(tl.int64) * size + tl.load(starts_ptr + sequence)
        tl.store(ranks_ptr + rows_R, rank_R, mask=rows_R < length)


@triton.jit
def _matches_kernel(
    tokens_ptr, starts_ptr, lengths_ptr, ranks_ptr, size, pairs_ptr, matches_ptr, BLOCK: tl.constexpr
):
    """Count the clipped matches of one pair, for one n; matches are [P, 4]."""
    pair, order = tl.program_id(0).to(tl.int64), tl.program_id(1)
    hypothesis = tl.load(pairs_ptr + 2 * pair)
    reference = tl.load(pairs_ptr + 2 * pair + 1)
    hypothesis_ptr = tokens_ptr + tl.load(starts_ptr + hypothesis)
    reference_ptr = tokens_ptr + tl.load(starts_ptr + reference)
    height = tl.load(lengths_ptr + hypothesis)
    width = tl.load(lengths_ptr + reference)
    ranks_ptr += order.to(tl.int64) * size + tl.load(starts_ptr + hypothesis)
    matches_R = tl.zeros((BLOCK,), tl.int32)
    for row in range(0, height, BLOCK):
        rows_R = row + tl.arange(0, BLOCK)
        count_R = tl.zeros((BLOCK,), tl.int32)
        for column in range(0, width, BLOCK):
            columns_C = column + tl.arange(0, BLOCK)
            equal_RC = _equal(hypothesis_ptr, rows_R, height, reference_ptr, columns_C, width, order + 1)
            count_R += tl.sum(equal_RC.to(tl.int32), axis=1)
        rank_R = tl.load(ranks_ptr + rows_R, mask=rows_R < height, other=_NO_RANK)
        matches_R += (rank_R < count_R).to(tl.int32)
    tl.store(matches_ptr + 4 * pair + order, tl.sum(matches_R, axis=0))


def ranks(sequences: Sequences[Tensor]) -> Tensor:
    """Return the rank of the n-gram that starts at each place, [4, T], int32, `NO_RANK` where none does."""
    tokens_T, lengths_S = sequences.tokens_T, sequences.lengths_S
    ranks_NT = torch.full((ORDERS, len(tokens_T)), NO_RANK, dtype=torch.int32, device=tokens_T.device)
    if len(lengths_S):
        longest = int(lengths_S.max())
        grid = (len(lengths_S), max(1, triton.cdiv(longest, _BLOCK)), ORDERS)
        with torch.cuda.device_of(tokens_T):
            _ranks_kernel[grid](
                tokens_T,
                sequences.starts_S.contiguous(),
                lengths_S.contiguous(),
                ranks_NT,
                len(tokens_T),
                BLOCK=_BLOCK,
                num_warps=1,
            )
    return ranks_NT


def clipped_matches(sequences: Sequences[Tensor], pairs_P2: Tensor) -> Tensor:
    """Return the clipped matches of n-grams, n = 1..4, of each pair of sequences, [P, 4], int32."""
    tokens_T = sequences.tokens_T
    matches_PN = torch.zeros((len(pairs_P2), ORDERS), dtype=torch.int32, device=tokens_T.device)
    if len(pairs_P2):
        ranks_NT = ranks(sequences)
        with torch.cuda.device_of(tokens_T):
            _matches_kernel[len(pairs_P2), ORDERS](
                tokens_T,
                sequences.starts_S.contiguous(),
                sequences.lengths_S.contiguous(),
                ranks_NT,
                len(tokens_T),
                pairs_P2.contiguous(),
                matches_PN,
                BLOCK=_BLOCK,
                num_warps=1,
            )
    return matches_PN
