"""Count what stands side by side in rows of tokens, and find the most frequent."""

from collections.abc import Iterable

import torch
from torch import Tensor


def most_frequent(rows: Iterable[Tensor], length: int, tokens: int, kept: int) -> tuple[Tensor, Tensor]:
    """Return the most frequent runs of neighbouring tokens as rising numbers, [P], and their counts, [P].

    The run a, b, c has the number (a·V + b)·V + c.

    Args:
        rows: rows of tokens [N, L] in ordinary memory, some at a time.
        length: of a run; V to this power is below 2⁶³.
        tokens: V.
        kept: how many there are at most.
    """
    seen: list[Tensor] = []
    times: list[Tensor] = []
    for rows_NL in rows:
        keys_NM = rows_NL.unfold(1, length, 1) @ tokens ** torch.arange(length - 1, -1, -1)
        keys, counts = torch.unique(keys_NM, return_counts=True)
        seen.append(keys)
        times.append(counts)
    keys_P, place_N = torch.unique(torch.cat(seen), return_inverse=True)
    counts_P = torch.zeros(len(keys_P), dtype=torch.int64).index_add_(0, place_N, torch.cat(times))
    # A stable order: which of two equally frequent runs is kept must not depend on the machine.
    best = counts_P.argsort(descending=True, stable=True)[:kept].sort().values
    return keys_P[best], counts_P[best]
