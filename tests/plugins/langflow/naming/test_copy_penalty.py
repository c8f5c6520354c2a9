"""plugins/langflow/naming/chain.py: what a condition's own pairs cost, and how unlikely they can be."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dlmone.core import Batch, Noise
from dlmone.plugins.langflow.naming.chain import chained_tokens, copied_pairs
from dlmone.plugins.langflow.naming.options import ChainOptions

MARKER, TOKENS = 0, 5
NOISE = Noise([(0, "a"), (0, "b")])


@given(st.integers(0, 1000))
def test_pairs_of_a_source(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens_BLK = torch.randint(TOKENS, (2, 4, 3), generator=generator)
    source_BS = torch.randint(TOKENS, (2, 6), generator=generator)
    text_BS = torch.rand(2, 6, generator=generator) < 0.7
    found_BMKK = copied_pairs(tokens_BLK, source_BS, text_BS)
    assert found_BMKK.shape == (2, 3, 3, 3)
    for row in range(2):
        places = zip(source_BS[row].tolist(), text_BS[row].tolist(), strict=True)
        source = {(a, b) for (a, is_a), (b, is_b) in pairwise(places) if is_a and is_b}
        for place, i, j in product(range(3), repeat=3):
            pair = int(tokens_BLK[row, place, i]), int(tokens_BLK[row, place + 1, j])
            assert bool(found_BMKK[row, place, i, j]) == (pair in source)


@given(seed=st.integers(0, 1000))
def test_each_pair_of_the_source_costs_as_much(seed: int) -> None:
    """All sequences by hand. Markers of the condition belong to no pair."""
    generator = torch.Generator().manual_seed(seed)
    logits_BLV = 2 * torch.randn(2, 7, TOKENS, generator=generator)
    tokens_BL = torch.randint(1, TOKENS, (2, 7), generator=generator)
    tokens_BL[:, [0, 3]] = MARKER
    target_BL = torch.tensor([[False] * 4 + [True] * 3]).expand(2, -1)
    batch = Batch(("a", "b"), tokens_BL, target_BL)
    options = ChainOptions(weight=0, bonus=0, repeats=True, top_k=TOKENS, copy_penalty=1.5)
    found_BL = chained_tokens(logits_BLV, batch, options, None, (MARKER,), NOISE)
    for row, score in enumerate(logits_BLV[:, 4:].tolist()):
        source = set(pairwise(tokens_BL[row, 1:3].tolist()))

        def value(
            path: tuple[int, ...], score: list[list[float]] = score, source: set[tuple[int, int]] = source
        ) -> float:
            copied = sum(pair in source for pair in pairwise(path))
            return sum(place[token] for place, token in zip(score, path, strict=True)) - 1.5 * copied

        assert tuple(found_BL[row, 4:].tolist()) == max(product(range(TOKENS), repeat=3), key=value)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@given(seed=st.integers(0, 1000))
def test_a_pair_of_the_source_is_as_likely_as_the_floor(penalty: float, seed: int) -> None:
    """All sequences by hand. What is likelier than the floor stays so, and so do other pairs."""
    generator = torch.Generator().manual_seed(seed)
    logits_BLV = 2 * torch.randn(2, 7, TOKENS, generator=generator)
    likely_VV = -8 * torch.rand(TOKENS, TOKENS, generator=generator)
    tokens_BL = torch.randint(1, TOKENS, (2, 7), generator=generator)
    tokens_BL[:, [0, 3]] = MARKER
    target_BL = torch.tensor([[False] * 4 + [True] * 3]).expand(2, -1)
    batch = Batch(("a", "b"), tokens_BL, target_BL)
    options = ChainOptions(
        weight=0.5, bonus=0, repeats=True, top_k=TOKENS, copy_floor=-2.0, copy_penalty=penalty
    )
    found_BL = chained_tokens(logits_BLV, batch, options, lambda a, b: likely_VV[a, b], (MARKER,), NOISE)
    for row, score in enumerate(logits_BLV[:, 4:].tolist()):
        source = set(pairwise(tokens_BL[row, 1:3].tolist()))

        def value(
            path: tuple[int, ...], score: list[list[float]] = score, source: set[tuple[int, int]] = source
        ) -> float:
            total = sum(place[token] for place, token in zip(score, path, strict=True))
            for pair in pairwise((MARKER, *path)):
                likely = float(likely_VV[pair])
                total += 0.5 * max(likely, -2.0) - penalty if pair in source else 0.5 * likely
            return total

        best = max(product(range(TOKENS), repeat=3), key=value)
        assert value(tuple(found_BL[row, 4:].tolist())) == pytest.approx(value(best), abs=1e-5)


def test_a_floor_of_pairs_that_are_left_out_is_refused() -> None:
    with pytest.raises(ValidationError, match="copy_floor is a floor of pairs, which weight = 0 leaves out"):
        ChainOptions(copy_floor=-1, weight=0)


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ValidationError, match="copy_penalty"):
        ChainOptions(copy_penalty=-1)
