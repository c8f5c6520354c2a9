"""How often tokens follow each other in the training data, and the probability of a pair (Kneser and Ney)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .counting import most_frequent

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

    Probabilities are made of further buffers, computed from these when they change, and not saved: ``keys``,
    first·V + second of each pair, rising, with one that no pair has before them and some behind; ``excess``,
    max(c(a, b) − d, 0) at the place of its key; by token ``spread``, d·k(a), and ``total``, c(a), both 1
    where a begins no pair; and ``lower``, P(b).
    """

    starts: Tensor
    seconds: Tensor
    counts: Tensor
    keys: Tensor
    excess: Tensor
    spread: Tensor
    total: Tensor
    lower: Tensor

    def __init__(self, tokens: int, kept: int) -> None:
        super().__init__()
        self.register_buffer("starts", torch.zeros(tokens + 1, dtype=torch.int32))
        self.register_buffer("seconds", torch.zeros(kept, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(kept, dtype=torch.int32))
        # No first token has more pairs than this many halvings tell apart.
        self._halvings = min(tokens, kept).bit_length()
        # Half as many bytes to read, where they suffice.
        self._key_type = torch.int32 if tokens**2 < 2**31 else torch.int64
        self._prepare()
        self.register_load_state_dict_post_hook(lambda loaded, _: loaded._prepare())  # type: ignore[no-untyped-call]

    def count(self, rows: Iterable[Tensor]) -> None:
        """Count the neighbours in rows of tokens, some rows [N, L] at a time."""
        tokens, kept = len(self.starts) - 1, len(self.seconds)
        keys_P, counts_P = most_frequent(rows, 2, tokens, kept)
        firsts = torch.bincount(keys_P // tokens, minlength=tokens)
        self.starts[1:] = firsts.cumsum(0)
        self.seconds[: len(keys_P)] = (keys_P % tokens).int()
        self.counts[: len(keys_P)] = counts_P.clamp(max=torch.iinfo(torch.int32).max).int()
        self._prepare()

    def _prepare(self) -> None:
        tokens, places_P = len(self.starts) - 1, torch.arange(len(self.seconds), device=self.starts.device)
        # Places without a pair come out behind all first tokens, and so do their keys.
        firsts_P = torch.searchsorted(self.starts.long(), places_P, right=True) - 1
        seconds_P, counts_P, used_P = self.seconds.long(), self.counts.float(), (firsts_P < tokens).float()
        keys_P, none = firsts_P * tokens + seconds_P, tokens**2
        keys = functional.pad(functional.pad(keys_P, (1, 0), value=-1), (0, 2**self._halvings), value=none)
        total_V = counts_P.new_zeros(tokens + 1).index_add_(0, firsts_P, counts_P)[:tokens]
        lower_V = UNSEEN + counts_P.new_zeros(tokens).index_add_(0, seconds_P, used_P)
        self.register_buffer("keys", keys.to(self._key_type), persistent=False)
        excess = functional.pad((counts_P - DISCOUNT).clamp(min=0), (1, 0))
        self.register_buffer("excess", excess, persistent=False)
        spread_V = torch.where(total_V > 0, DISCOUNT * self.starts.diff(), 1.0)
        self.register_buffer("spread", spread_V, persistent=False)
        self.register_buffer("total", total_V.clamp(min=1), persistent=False)
        self.register_buffer("lower", lower_V / lower_V.sum(), persistent=False)

    def log_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Return log P(second | first), interpolated Kneser–Ney, float32; the two tensors are broadcast.

        P(b | a) = max(c(a, b) − d, 0)/c(a) + d·k(a)/c(a)·P(b), with k(a) the number of different tokens after
        a, and P(b) the share of b among the different pairs. A token that begins no pair has P(b) alone.
        """
        own = self._excess(first, second) + self.spread[first] * self.lower[second]
        return (own / self.total[first]).log()

    def _excess(self, first: Tensor, second: Tensor) -> Tensor:
        """Return max(c(a, b) − d, 0), 0 for a pair that was not counted.

        A binary search for the last key that is not greater, from the one before the first token's pairs on:
        in operators that every graph format has, and as fast as `torch.searchsorted`.
        """
        key = first.to(self.keys.dtype) * (len(self.starts) - 1) + second.to(self.keys.dtype)
        key_N, place_N = key.flatten(), self.starts[first].expand(key.shape).flatten()
        for bit in reversed(range(self._halvings)):
            further_N = place_N + 2**bit
            place_N = torch.where(self.keys.index_select(0, further_N) <= key_N, further_N, place_N)
        counted_N = self.keys.index_select(0, place_N) == key_N
        return torch.where(counted_N, self.excess.index_select(0, place_N), 0.0).view(key.shape)
