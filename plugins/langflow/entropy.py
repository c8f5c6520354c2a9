"""What a model that sees noise alone still knows: how often each token stands at each position."""

from collections.abc import Sequence

import torch

from dlmone.core import Example, Space

#: Examples that are counted; more change little.
COUNTED = 20_000
#: Examples that are tokenised at a time.
BATCH = 1000


def position_entropy(space: Space, examples: Sequence[Example]) -> float:
    """Return the entropy of tokens given their place among the generated ones, in nats a generated token.

    It is the cross-entropy that is left at full noise without a condition, and bounds it with one.
    Positions are counted from the first generated one.
    """
    length = space.state_shape[0]
    pairs = []
    for start in range(0, min(len(examples), COUNTED), BATCH):
        batch = space.collate(examples[start : min(start + BATCH, COUNTED)])
        place_BL = batch.target_BL.cumsum(1) - 1
        pairs.append(torch.stack([place_BL[batch.target_BL], batch.tokens_BL[batch.target_BL]]))
    pairs_2N = torch.cat(pairs, dim=1)
    _, counts = torch.unique(pairs_2N, dim=1, return_counts=True)
    places = torch.bincount(pairs_2N[0], minlength=length)
    # H(token | place) = H(token, place) − H(place), times N.
    whole = torch.xlogy(places.double(), places.double()).sum()
    parts = torch.xlogy(counts.double(), counts.double()).sum()
    return float((whole - parts) / pairs_2N.shape[1])
