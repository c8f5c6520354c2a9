"""Train a batch in groups of like length, so that little of the work is padding."""

from collections.abc import Iterator

import torch
from torch import Tensor

from dlmone.core import Batch


def by_length(batch: Batch, pad_id: int, groups: int, padded_B: Tensor) -> Iterator[tuple[Tensor, Batch]]:
    """Yield row numbers and these rows without their common padding, the shortest rows first.

    Inference runs at the full length, so some rows must keep their padding.

    Args:
        batch: padded to one length.
        pad_id: the token of padding.
        groups: number of groups, of equal size where possible.
        padded_B: rows that keep the full length.
    """
    seq_len = batch.tokens_BL.shape[1]
    used_BL = (batch.tokens_BL != pad_id) * torch.arange(1, seq_len + 1, device=batch.tokens_BL.device)
    # One [PAD] stays after the text: where it ends is learned in every group.
    length_B = (used_BL.amax(1) + 1).clamp(max=seq_len).masked_fill(padded_B, seq_len)
    for rows_N in length_B.argsort(stable=True).tensor_split(groups):
        if len(rows_N):
            length = int(length_B[rows_N].max())
            ids = tuple(batch.ids[row] for row in rows_N.tolist())
            yield rows_N, Batch(ids, batch.tokens_BL[rows_N, :length], batch.target_BL[rows_N, :length])
