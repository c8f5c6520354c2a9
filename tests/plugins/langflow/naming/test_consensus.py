"""plugins/langflow/naming/consensus.py: which of several draws is kept, by hand."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import Batch, Noise
from dlmone.plugins.langflow.naming import chain as module
from dlmone.plugins.langflow.naming.chain import DRAW, chained_tokens
from dlmone.plugins.langflow.naming.consensus import NEAR, most_alike
from dlmone.plugins.langflow.naming.options import ChainOptions

MARKER, TOKENS, ROWS = 0, 5, 2
NOISE = Noise([(0, str(row)) for row in range(ROWS)])


def f1(first: Sequence[object], second: Sequence[object]) -> float:
    total = len(first) + len(second)
    return (sum(one in second for one in first) + sum(one in first for one in second)) / max(total, 1)


def likeness(first: list[int], second: list[int]) -> float:
    return f1(first, second) + f1(list(pairwise(first)), list(pairwise(second)))


def kept(draws: list[list[int]], source: list[int]) -> int:
    """Texts without markers, which stand at their ends."""
    scores = [sum(likeness(draw, other) for other in draws) for draw in draws]
    scores = [score - 1000 * (f1(draw, source) >= NEAR) for draw, score in zip(draws, scores, strict=True)]
    return max(range(len(draws)), key=lambda place: round(scores[place], 4))


def padded(texts: list[list[int]], length: int) -> Tensor:
    return torch.tensor([text + [MARKER] * (length - len(text)) for text in texts])


TEXT = st.lists(st.integers(1, 3), min_size=1, max_size=5)


@given(st.lists(TEXT, min_size=3, max_size=3), TEXT)
@example([[2], [1, 1, 1, 1, 2], [1, 1, 1, 2, 3]], [1])  # the last two are as good
def test_the_most_alike_by_hand(draws: list[list[int]], source: list[int]) -> None:
    tokens_BDL, source_BL = padded(draws, 5)[None], padded([source], 6)
    found = most_alike(tokens_BDL, tokens_BDL != MARKER, source_BL, source_BL != MARKER)
    assert int(found) == kept(draws, source)


@pytest.mark.parametrize("draws", [2, 5])
def test_one_of_the_draws_is_named(draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw is that of its own uniform numbers; and rows in parts are named alike."""
    generator = torch.Generator().manual_seed(draws)
    logits_BLV = torch.randn(ROWS, 7, TOKENS, generator=generator)
    tokens_BL = torch.tensor([[1, 2, 3, 1, 2, 2, 2], [3, 1, 1, 4, 2, 2, 2]])
    target_BL = torch.tensor([[False] * 3 + [True] * 4]).expand(ROWS, -1)
    batch = Batch(("a", "b"), tokens_BL, target_BL)
    options = ChainOptions(weight=0, bonus=0, temperature=1.5, draws=draws, top_k=TOKENS)
    found_BL = chained_tokens(logits_BLV, batch, options, None, (MARKER,), NOISE)
    uniform_BDL = NOISE.uniform(DRAW, (draws, 7))
    single = options.model_copy(update={"draws": 1})
    every = []
    for draw in range(draws):
        noise = Noise(NOISE.keys)
        monkeypatch.setattr(noise, "uniform", lambda name, shape, draw=draw: uniform_BDL[:, draw])
        every.append(chained_tokens(logits_BLV, batch, single, None, (MARKER,), noise))
    for row in range(ROWS):
        texts = [[token for token in draw[row, 3:].tolist() if token != MARKER] for draw in every]
        best = kept(texts, tokens_BL[row, :3].tolist())
        assert torch.equal(found_BL[row], every[best][row])
    monkeypatch.setattr(module, "scores_at_once", lambda device: 1)
    assert torch.equal(chained_tokens(logits_BLV, batch, options, None, (MARKER,), NOISE), found_BL)


def test_draws_need_a_temperature() -> None:
    with pytest.raises(ValidationError, match="draws are all alike at temperature 0"):
        ChainOptions(draws=8)
