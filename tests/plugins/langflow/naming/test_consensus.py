"""plugins/langflow/naming/consensus.py: which of several draws is kept, by hand."""

import math
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
from dlmone.plugins.langflow.naming.consensus import NEAR, agreement, beside_source, best_draw, known_share
from dlmone.plugins.langflow.naming.options import ChainOptions

MARKER, TOKENS, ROWS = 0, 5, 2
NOISE = Noise([(0, str(row)) for row in range(ROWS)])
PLAIN = ChainOptions(temperature=1, draws=3)


def f1(first: Sequence[object], second: Sequence[object]) -> float:
    total = len(first) + len(second)
    return (sum(one in second for one in first) + sum(one in first for one in second)) / max(total, 1)


def likeness(first: list[int], second: list[int]) -> float:
    return f1(first, second) + f1(list(pairwise(first)), list(pairwise(second)))


def kept(draws: list[list[int]], source: list[int]) -> int:
    """Texts without markers, which stand at their ends."""
    scores = [sum(likeness(draw, other) for other in draws) / (2 * len(draws)) for draw in draws]
    scores = [score - 1000 * (f1(draw, source) >= NEAR) for draw, score in zip(draws, scores, strict=True)]
    return max(range(len(draws)), key=lambda place: round(scores[place], 5))


def padded(texts: list[list[int]], length: int) -> Tensor:
    return torch.tensor([text + [MARKER] * (length - len(text)) for text in texts])


TEXT = st.lists(st.integers(1, 3), min_size=1, max_size=5)


@given(st.lists(TEXT, min_size=3, max_size=3), TEXT)
@example([[2], [1, 1, 1, 1, 2], [1, 1, 1, 2, 3]], [1])  # the last two are as good
def test_the_most_alike_by_hand(draws: list[list[int]], source: list[int]) -> None:
    tokens_BDL, source_BL = padded(draws, 5)[None], padded([source], 6)
    for static in (False, True):
        found = best_draw(
            tokens_BDL, tokens_BDL != MARKER, source_BL, source_BL != MARKER, PLAIN, static=static
        )
        assert int(found) == kept(draws, source)


@pytest.mark.parametrize("draws", [2, 5, 8])
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


@given(st.lists(TEXT, min_size=2, max_size=4), TEXT)
def test_what_of_the_source_is_said_by_hand(draws: list[list[int]], source: list[int]) -> None:
    tokens_BDL, source_BL = padded(draws, 5)[None], padded([source], 6)
    information = [0.0, 0.5, 2.0, 7.0]
    asked = (tokens_BDL, tokens_BDL != MARKER, source_BL, source_BL != MARKER)
    copied_BD, covered_BD = beside_source(*asked, torch.tensor(information))
    whole = sum(information[token] for token in source)
    for draw, copied, covered in zip(draws, copied_BD[0].tolist(), covered_BD[0].tolist(), strict=True):
        assert copied == pytest.approx(f1(draw, source))
        said = sum(information[token] for token in source if token in draw)
        assert covered == pytest.approx(said / whole)
    _, alike_BD = beside_source(*asked)
    assert alike_BD[0, 0] == pytest.approx(sum(token in draws[0] for token in source) / len(source))


@given(st.lists(TEXT, min_size=2, max_size=4))
def test_what_stands_between_the_same_neighbours_by_hand(draws: list[list[int]]) -> None:
    data = {(9, 1, 2), (1, 2, MARKER), (2, 2, 2), (9, 3, MARKER), (1, 2, 3)}
    tokens_BDL = padded([[9, *draw] for draw in draws], 8)[None]
    text_BDL = (tokens_BDL != MARKER) & (tokens_BDL != 9)

    def triples(*three: Tensor) -> Tensor:
        stacked = torch.stack(three, -1)
        known = [tuple(one) in data for one in stacked.reshape(-1, 3).tolist()]
        return torch.tensor(known).view(stacked.shape[:-1])

    for draw, found in zip(draws, known_share(tokens_BDL, text_BDL, triples)[0].tolist(), strict=True):
        row = [9, *draw, MARKER]
        known = [triple in data for triple in zip(row, row[1:], row[2:], strict=False)]
        assert found == pytest.approx(sum(known) / len(draw))


@given(st.lists(TEXT, min_size=3, max_size=3), TEXT, st.sampled_from([0.0, 0.7]), st.sampled_from([0.0, 1.3]))
def test_the_score_is_a_weighted_sum(
    draws: list[list[int]], source: list[int], coverage: float, known: float
) -> None:
    """Texts stand anywhere in their rows."""
    rows = [[MARKER] * 3 + draw for draw in draws]
    tokens_BDL, source_BL = padded(rows, 9)[None], padded([source], 6)
    text_BDL, is_source_BL = tokens_BDL != MARKER, source_BL != MARKER
    information_V = torch.tensor([0.0, 0.5, 2.0, 7.0])
    chain = ChainOptions(temperature=1, draws=3, coverage=coverage, known=known)

    def triples(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        return (first + second + third) % 2 == 0

    copied_BD, covered_BD = beside_source(tokens_BDL, text_BDL, source_BL, is_source_BL, information_V)
    score_BD = agreement(tokens_BDL, text_BDL) + coverage * covered_BD
    score_BD = score_BD + known * known_share(tokens_BDL, text_BDL, triples) - 1000 * (copied_BD >= NEAR)
    for static in (False, True):
        best = best_draw(
            tokens_BDL, text_BDL, source_BL, is_source_BL, chain, information_V, triples, static=static
        )
        assert score_BD[0, best] == pytest.approx(float(score_BD.max()), abs=1e-4)


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=3, max_size=3))
@example([[[1, 2, 3, 1, 2]] * 3, [[1]] * 3, [[1, 2], [3], [2, 2]]])  # of the last row, the second draw else
def test_rows_of_texts_at_different_places_are_compared_alike(rows: list[list[list[int]]]) -> None:
    """The last row's texts reach the last place."""
    length = 9
    tokens_BDL = torch.zeros(len(rows), 3, length, dtype=torch.long)
    for row, draws in enumerate(rows):
        start = [0, 2, length - max(map(len, draws))][row]
        for draw, text in enumerate(draws):
            tokens_BDL[row, draw, start : start + len(text)] = torch.tensor(text)
    source_BL = torch.tensor([[4]]).expand(len(rows), -1)
    asked = (tokens_BDL, tokens_BDL != MARKER, source_BL, source_BL != MARKER, PLAIN)
    together_B = best_draw(*asked)
    assert torch.equal(together_B, best_draw(*asked, static=True))
    assert together_B.tolist() == [kept(draws, [4]) for draws in rows]


def test_neighbours_with_a_marker_between_are_no_pair() -> None:
    tokens_BDL = torch.tensor([[[1, 2, MARKER, 3, 1], [1, 2, MARKER, 3, 1], [1, 2, 3, 1, MARKER]]])
    found_BD = agreement(tokens_BDL, tokens_BDL != MARKER)
    # All have the same tokens; the third has three pairs, of which the others have two and no more.
    others = (1 + 4 / 5) / 2
    assert found_BD[0].tolist() == pytest.approx([(2 + others) / 3, (2 + others) / 3, (1 + 2 * others) / 3])


def test_of_draws_that_are_all_nearly_the_source_the_best_is_kept() -> None:
    tokens_BDL = torch.tensor([[[1, 1, 2], [1, 2, 2], [1, 2, 2]]])
    source_BL = torch.tensor([[1, 2]])
    copied_BD, _ = beside_source(tokens_BDL, tokens_BDL > 0, source_BL, source_BL > 0)
    assert (copied_BD >= NEAR).all()
    assert int(best_draw(tokens_BDL, tokens_BDL > 0, source_BL, source_BL > 0, PLAIN)) == 1


@given(st.lists(TEXT, min_size=3, max_size=3), st.integers(0, 3))
def test_agreement_is_that_of_texts_wherever_they_stand(draws: list[list[int]], place: int) -> None:
    tokens_BDL = padded([[MARKER] * place + draw for draw in draws], 8)[None]
    found_BD = agreement(tokens_BDL, tokens_BDL != MARKER)
    for draw, found in zip(draws, found_BD[0].tolist(), strict=True):
        wanted = math.fsum(likeness(draw, other) for other in draws) / (2 * len(draws))
        assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", ["coverage", "known"])
def test_what_chooses_among_draws_needs_several(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} chooses among draws; give more than 1"):
        ChainOptions.model_validate({"temperature": 1, name: 1.0})


def test_draws_need_a_temperature() -> None:
    with pytest.raises(ValidationError, match="draws are all alike at temperature 0"):
        ChainOptions(draws=8)
