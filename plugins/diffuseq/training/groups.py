"""Train a batch in groups of like length, so that little of the work is padding."""

from collections.abc import Iterator

import torch
from torch import Tensor

from dlmone.core import Batch
from dlmone.core.transfer import on_host, to_device


def by_length(batch: Batch, pad_id: int, groups: int, padded_B: Tensor) -> Iterator[tuple[Tensor, Batch]]:
    """Yield row numbers and these rows without their common padding, the shortest rows first.

    Inference runs at the full length, so some rows must keep their padding.

    Lengths are read from the host's memory, where the batch came from.

    Args:
        batch: padded to one length.
        pad_id: the token of padding.
        groups: number of groups, of equal size where possible.
        padded_B: rows that keep the full length.
    """
    tokens_BL, padded_B = on_host(batch.tokens_BL), on_host(padded_B)
    seq_len = tokens_BL.shape[1]
    used_BL = (tokens_BL != pad_id) * torch.arange(1, seq_len + 1)
    # One [PAD] stays after the text: where it ends is learned in every group.
    length_B = (used_BL.amax(1) + 1).clamp(max=seq_len).masked_fill(padded_B, seq_len)
    order_B = length_B.argsort(stable=True)
    there_B = to_device(order_B, batch.tokens_BL.device)
    for rows_N, there_N in zip(order_B.tensor_split(groups), there_B.tensor_split(groups), strict=True):
        if len(rows_N):
            length = int(length_B[rows_N].max())
            ids = tuple(batch.ids[row] for row in rows_N.tolist())
            yield there_N, Batch(ids, batch.tokens_BL[there_N, :length], batch.target_BL[there_N, :length])
