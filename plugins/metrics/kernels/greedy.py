"""A Triton kernel for BERTScore's greedy matching; ``..greedy`` has the definition and the CPU's path.

A program matches one side of one pair, a tile of similarities after another: sentences of any length fit.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..greedy import Embedded

#: A tile's side in tokens, and entries of a state that are multiplied at a time.
_BLOCK, _ENTRIES = 32, 64


@triton.jit
def _match_kernel(
    states_ptr, weights_ptr, starts_ptr, lengths_ptr, pairs_ptr, lowest_ptr, means_ptr, width,
    BLOCK: tl.constexpr, ENTRIES: tl.constexpr,
):  # fmt: skip
    """Write the weighted mean of the greatest similarities of one side's tokens; means are [P, 2]."""
    pair, side = tl.program_id(0).to(tl.int64), tl.program_id(1)
    own = tl.load(pairs_ptr + 2 * pair + side)
    other = tl.load(pairs_ptr + 2 * pair + 1 - side)
    own_start, other_start = tl.load(starts_ptr + own), tl.load(starts_ptr + other)
    height, breadth = tl.load(lengths_ptr + own), tl.load(lengths_ptr + other)
    lowest = tl.load(lowest_ptr + 2 * pair + side)
    matched_R = tl.zeros((BLOCK,), tl.float32)
    weight_R = tl.zeros((BLOCK,), tl.float32)
    for row in range(0, height, BLOCK):
        rows_R = row + tl.arange(0, BLOCK)
        best_R = tl.zeros((BLOCK,), tl.float32) + lowest
        for column in range(0, breadth, BLOCK):
            columns_C = column + tl.arange(0, BLOCK)
            similarity_RC = tl.zeros((BLOCK, BLOCK), tl.float32)
            for start in range(0, width, ENTRIES):
                entries_D = start + tl.arange(0, ENTRIES)
                own_RD = tl.load(
                    states_ptr + (own_start + rows_R)[:, None] * width + entries_D[None, :],
                    mask=(rows_R < height)[:, None] & (entries_D < width)[None, :],
                    other=0.0,
                ).to(tl.float32)
                other_DC = tl.load(
                    states_ptr + (other_start + columns_C)[None, :] * width + entries_D[:, None],
                    mask=(columns_C < breadth)[None, :] & (entries_D < width)[:, None],
                    other=0.0,
                ).to(tl.float32)
                similarity_RC = tl.dot(own_RD, other_DC, similarity_RC, input_precision="ieee")
            similarity_RC = tl.where((columns_C < breadth)[None, :], similarity_RC, float("-inf"))
            best_R = tl.maximum(best_R, tl.max(similarity_RC, axis=1))
        row_weight_R = tl.load(weights_ptr + own_start + rows_R, mask=rows_R < height, other=0.0)
        matched_R += best_R * row_weight_R
        weight_R += row_weight_R
    tl.store(means_ptr + 2 * pair + side, tl.sum(matched_R, axis=0) / tl.sum(weight_R, axis=0))


def matched_means(sentences: Embedded, pairs_P2: Tensor, lowest_P2: Tensor) -> Tensor:
    """Return precision and recall of each pair, [P, 2]; each side must have a token that counts."""
    states_TD = sentences.states_TD.contiguous()
    means_P2 = sentences.weights_T.new_empty(pairs_P2.shape)
    if len(pairs_P2):
        with torch.cuda.device_of(states_TD):
            _match_kernel[len(pairs_P2), 2](
                states_TD,
                sentences.weights_T.contiguous(),
                sentences.starts_S.contiguous(),
                sentences.lengths_S.contiguous(),
                pairs_P2.contiguous(),
                lowest_P2.contiguous(),
                means_P2,
                states_TD.shape[1],
                BLOCK=_BLOCK,
                ENTRIES=_ENTRIES,
            )
    return means_P2
