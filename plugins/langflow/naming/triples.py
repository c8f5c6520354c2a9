"""Which triples of tokens the training data have, in ten bits each (Bloom 1970)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dlmone.core import InputError

from .counting import most_frequent

#: Of the filter, for each triple that is kept, and how many of them one triple sets.
BITS, SET = 10, 4
#: V³ runs of three are numbered in 63 bits.
LARGEST = 2**21
#: A hash is a sum of the tokens, each times a number of its own, modulo a prime (Carter and Wegman 1979).
PRIME = 2**31 - 1
FACTORS = ((1_103_515_245, 12_345_701, 1_664_525_003), (22_695_477, 1_013_904_223, 134_775_813))


class TokenTriples(nn.Module):
    """The most frequent triples of neighbouring tokens.

    None of them is taken for unknown; of others one in eighty is taken for known.

    Args:
        tokens: size V of the vocabulary, at most 2²¹.
        kept: how many triples are kept at most.

    Attributes:
        bits: [⌈10·kept/8⌉] bytes of the filter.
        powers: of two, [8], not saved.

    Raises:
        InputError: the vocabulary is larger.
    """

    bits: Tensor
    powers: Tensor

    def __init__(self, tokens: int, kept: int) -> None:
        super().__init__()
        if tokens > LARGEST:
            raise InputError(f"triples: they are of vocabularies up to {LARGEST:,} tokens, not {tokens:,}")
        self._tokens, self._kept = tokens, kept
        self.register_buffer("bits", torch.zeros(-(-BITS * kept // 8), dtype=torch.uint8))
        self.register_buffer("powers", 2 ** torch.arange(8), persistent=False)

    def count(self, rows: Iterable[Tensor]) -> None:
        """Count the triples in rows of tokens, some rows [N, L] at a time."""
        keys_P, _ = most_frequent(rows, 3, self._tokens, self._kept)
        first, second, third = (
            keys_P // self._tokens**2,
            keys_P // self._tokens % self._tokens,
            keys_P % self._tokens,
        )
        bits_N = torch.zeros(8 * len(self.bits), dtype=torch.uint8)
        bits_N[self._places(first, second, third).flatten()] = 1
        self.bits.copy_(torch.stack([bits_N[place::8] << place for place in range(8)]).sum(0))

    def known(self, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        """Return whether the data have these triples, bool; the three int64 tensors are of one shape."""
        places = self._places(first, second, third)
        bytes_ = self.bits.index_select(0, (places // 8).flatten()).view(places.shape).long()
        # A remainder and not a shift: every graph format has it.
        return (bytes_ // self.powers[places % 8] % 2 == 1).all(-1)

    def _places(self, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        """Return the bits of triples, [..., 4]."""
        start, step = ((first * a + second * b + third * c) % PRIME for a, b, c in FACTORS)
        steps = torch.arange(SET, device=first.device) * step[..., None]
        return (start[..., None] + steps) % (8 * len(self.bits))
