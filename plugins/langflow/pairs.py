"""How often tokens follow each other in the training data, and the probability of a pair (Kneser and Ney)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

#: What each count of a pair gives to pairs that were not counted (Chen and Goodman 1999, near 0.75 always).
DISCOUNT = 0.75
#: What a token counts as the second of a pair before it is seen as one.
UNSEEN = 0.1


class TokenPairs(nn.Module):
    """Counts of the most frequent pairs of neighbouring tokens, sorted by their first token.

    Args:
        tokens: size V of the vocabulary.
        kept: how many pairs are kept at most; the number of places does not depend on the data, so that
            counts can be loaded from a file.

    Attributes:
        starts: [V + 1] where the pairs of each first token begin, and where the last ones end.
        seconds: [kept] their second tokens, rising within one first token.
        counts: [kept] how often each pair was seen.
    """

    starts: Tensor
    seconds: Tensor
    counts: Tensor

    def __init__(self, tokens: int, kept: int) -> None:
        super().__init__()
        self.register_buffer("starts", torch.zeros(tokens + 1, dtype=torch.int32))
        self.register_buffer("seconds", torch.zeros(kept, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(kept, dtype=torch.int32))

    def count(self, rows: Iterable[Tensor]) -> None:
        """Count the neighbours in rows of tokens, some rows [N, L] at a time."""
        tokens, kept = len(self.starts) - 1, len(self.seconds)
        seen: list[Tensor] = []
        times: list[Tensor] = []
        for rows_NL in rows:
            keys, counts = torch.unique(rows_NL[:, :-1] * tokens + rows_NL[:, 1:], return_counts=True)
            seen.append(keys)
            times.append(counts)
        keys_P, place_N = torch.unique(torch.cat(seen), return_inverse=True)
        counts_P = torch.zeros(len(keys_P), dtype=torch.int64).index_add_(0, place_N, torch.cat(times))
        # A stable order: which of two equally frequent pairs is kept must not depend on the machine.
        best = counts_P.argsort(descending=True, stable=True)[:kept].sort().values
        keys_P, counts_P = keys_P[best], counts_P[best]
        firsts = torch.bincount(keys_P // tokens, minlength=tokens)
        self.starts[1:] = firsts.cumsum(0)
        self.seconds[: len(best)] = (keys_P % tokens).int()
        self.counts[: len(best)] = counts_P.clamp(max=torch.iinfo(torch.int32).max).int()

    def log_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Return log P(second | first), interpolated Kneser–Ney, float32; the two tensors are broadcast.

        P(b | a) = max(c(a, b) − d, 0)/c(a) + d·k(a)/c(a)·P(b), with k(a) the number of different tokens after
        a, and P(b) the share of b among the different pairs. A token that begins no pair has P(b) alone.
        """
        tokens, device = len(self.starts) - 1, first.device
        places_P = torch.arange(len(self.seconds), device=device)
        # Places without a pair come out behind all first tokens, and so do their keys. Nothing here is read
        # by the host, which a GPU would have to wait for.
        firsts_P = torch.searchsorted(self.starts.long(), places_P, right=True) - 1
        seconds_P, counts_P, used_P = self.seconds.long(), self.counts.float(), (firsts_P < tokens).float()
        total = counts_P.new_zeros(tokens + 1).index_add_(0, firsts_P, counts_P)[first]
        kinds = self.starts.diff()[first]
        lower_V = UNSEEN + counts_P.new_zeros(tokens).index_add_(0, seconds_P, used_P)
        lower = (lower_V / lower_V.sum())[second]
        keys_P, key = firsts_P * tokens + seconds_P, first * tokens + second
        place = torch.searchsorted(keys_P, key).clamp(max=len(keys_P) - 1)
        count = torch.where(keys_P[place] == key, counts_P[place], 0.0)
        own = (count - DISCOUNT).clamp(min=0) + DISCOUNT * kinds * lower
        return torch.where(total > 0, own / total.clamp(min=1), lower).log()
