"""What a model that sees noise alone still knows: how often each token stands at each position."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dlmone.core import Example, Space

#: Examples that are counted; more change little.
COUNTED = 20_000
#: Examples whose pairs and triples of tokens are counted: most are rare.
COUNTED_RUNS = 500_000
#: Examples that are tokenised at a time.
BATCH = 1000


def position_entropy(space: Space, examples: Sequence[Example]) -> float:
    """Return the entropy of tokens given their place among the generated ones, in nats a generated token.

    It is the cross-entropy that is left at full noise without a condition, and bounds it with one.
    Positions are counted from the first generated one.
    """
    length = space.state_shape[0]
    pairs_2N = torch.cat([torch.stack(pair) for pair in _generated(space, examples)], dim=1)
    _, counts = torch.unique(pairs_2N, dim=1, return_counts=True)
    places = torch.bincount(pairs_2N[0], minlength=length)
    # H(token | place) = H(token, place) − H(place), times N.
    whole = torch.xlogy(places.double(), places.double()).sum()
    parts = torch.xlogy(counts.double(), counts.double()).sum()
    return float((whole - parts) / pairs_2N.shape[1])


def log_frequencies(space: Space, examples: Sequence[Example], tokens: int) -> Tensor:
    """Return the log of each token's share among generated positions, [V]; each is counted once more."""
    counts = torch.ones(tokens, dtype=torch.float64)
    for _, tokens_N in _generated(space, examples):
        counts += torch.bincount(tokens_N, minlength=tokens)
    return (counts / counts.sum()).log()


def rows_of(space: Space, examples: Sequence[Example]) -> Iterator[Tensor]:
    """Yield the tokens [N, L] of the examples whose pairs and triples are counted, some at a time."""
    for start in range(0, min(len(examples), COUNTED_RUNS), BATCH):
        yield space.collate(examples[start : start + BATCH]).tokens_BL


def _generated(space: Space, examples: Sequence[Example]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, of some examples at a time, the generated positions' places among these, and their tokens."""
    for start in range(0, min(len(examples), COUNTED), BATCH):
        batch = space.collate(examples[start : min(start + BATCH, COUNTED)])
        place_BL = batch.target_BL.cumsum(1) - 1
        yield place_BL[batch.target_BL], batch.tokens_BL[batch.target_BL]
