"""plugins/langflow/naming/chain.py: the likeliest sequence, against all."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlmone.core import Batch, Noise
from dlmone.plugins.langflow.naming import chain as module
from dlmone.plugins.langflow.naming.chain import best_sequence, chained_tokens, drawn_sequences
from dlmone.plugins.langflow.naming.options import ChainOptions

MARKER = 0
NOISE = Noise([(0, "a"), (0, "b"), (0, "c")])


def transitions(first: Tensor, second: Tensor) -> Tensor:
    """Some link for each pair."""
    return torch.sin(3.0 * first + 7.0 * second)


def random_case(seed: int) -> tuple[Tensor, Batch]:
    """Logits of 3 rows of 5 positions, V = 6; the first two are given, with one token twice."""
    generator = torch.Generator().manual_seed(seed)
    logits_BLV = 2 * torch.randn(3, 5, 6, generator=generator)
    tokens_BL = torch.randint(6, (3, 5), generator=generator)
    tokens_BL[:, 1] = tokens_BL[:, 0]
    target_BL = torch.tensor([[False, False, True, True, True]]).expand(3, 5)
    return logits_BLV, Batch(("a", "b", "c"), tokens_BL, target_BL)


@given(st.integers(0, 1000))
def test_no_sequence_is_better(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores_BLK = torch.randn(2, 4, 3, generator=generator)
    transitions_BMKK = torch.randn(2, 3, 3, 3, generator=generator)
    found_BL = best_sequence(scores_BLK, transitions_BMKK)
    for row, found_L in enumerate(found_BL.tolist()):
        score, link = scores_BLK[row].tolist(), transitions_BMKK[row].tolist()
        value = {
            path: sum(score[place][k] for place, k in enumerate(path))
            + sum(link[place][path[place]][path[place + 1]] for place in range(3))
            for path in product(range(3), repeat=4)
        }
        assert tuple(found_L) == max(value, key=value.__getitem__)


@pytest.mark.parametrize("seed", range(6))
def test_sequences_are_drawn_as_often_as_their_scores_say(seed: int) -> None:
    """Against all sequences' exact probabilities."""
    generator = torch.Generator().manual_seed(seed)
    scores_LK, transitions_MKK = (
        torch.randn(3, 2, generator=generator),
        torch.randn(2, 2, 2, generator=generator),
    )
    paths = list(product(range(2), repeat=3))
    total = torch.tensor(
        [
            sum(float(scores_LK[place, k]) for place, k in enumerate(path))
            + sum(float(transitions_MKK[place, path[place], path[place + 1]]) for place in range(2))
            for path in paths
        ]
    )
    draws = 20_000
    uniform_BDL = torch.rand(draws // 4, 4, 3, generator=generator)
    found_BL = drawn_sequences(
        scores_LK.expand(draws // 4, -1, -1), transitions_MKK.expand(draws // 4, -1, -1, -1), uniform_BDL
    ).flatten(0, 1)
    share_P = torch.stack([(found_BL == torch.tensor(path)).all(1).float().mean() for path in paths])
    wanted_P = total.softmax(0)
    # Four standard deviations of a share.
    assert bool(((share_P - wanted_P).abs() < 4 * (wanted_P / draws).sqrt()).all())


def test_what_has_no_chance_is_never_drawn() -> None:
    """Not by the largest uniform number either, where rounded probabilities add up to less than it."""
    generator = torch.Generator().manual_seed(0)
    scores_BLK = torch.randn(1000, 2, 16, generator=generator)
    scores_BLK[..., [0, -1]] = -torch.inf
    transitions_BMKK = torch.randn(1000, 1, 16, 16, generator=generator)
    for uniform in (0.0, 1 - 2**-53):
        uniform_BDL = torch.full((1000, 1, 2), uniform, dtype=torch.float64)
        found_BL = drawn_sequences(scores_BLK, transitions_BMKK, uniform_BDL)[:, 0]
        assert scores_BLK.gather(2, found_BL[..., None]).isfinite().all()


def test_a_forbidden_repeat_is_never_drawn_and_a_low_temperature_draws_the_best() -> None:
    logits_BLV, batch = random_case(2)
    for seed in range(50):
        noise = Noise([(seed, name) for name in "abc"])
        drawn_BL = chained_tokens(
            logits_BLV, batch, ChainOptions(weight=0.7, temperature=3), transitions, (MARKER,), noise
        )
        again_BL = (drawn_BL[:, 2:] == drawn_BL[:, 1:-1]) & (drawn_BL[:, 2:] != MARKER)
        assert not again_BL.any()
        assert torch.equal(drawn_BL[:, :2], batch.tokens_BL[:, :2])
    cold, best = (
        chained_tokens(
            logits_BLV, batch, ChainOptions(weight=0.7, temperature=t), transitions, (MARKER,), NOISE
        )
        for t in (1e-3, 0)
    )
    assert torch.equal(cold, best)


@pytest.mark.parametrize("repeats", [True, False])
@given(seed=st.integers(0, 1000))
def test_given_tokens_markers_and_repeats(repeats: bool, seed: int) -> None:
    """All sequences by hand: transitions from given tokens, no bonus for a marker, which may repeat."""
    logits_BLV, batch = random_case(seed)
    every = torch.arange(6)
    link = transitions(every[:, None], every[None, :]).tolist()
    score = logits_BLV.tolist()
    options = ChainOptions(weight=0.7, bonus=0.3, repeats=repeats, top_k=6)
    found_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE)
    assert torch.equal(found_BL[:, :2], batch.tokens_BL[:, :2])
    for row in range(3):
        last = int(batch.tokens_BL[row, 1])

        def value(path: tuple[int, ...], row: int = row, last: int = last) -> float:
            total, before = 0.0, last
            for place, token in enumerate(path, start=2):
                if not repeats and token == before != MARKER:
                    return -torch.inf
                total += score[row][place][token] + 0.3 * (token != MARKER) + 0.7 * link[before][token]
                before = token
            return total

        best = max(product(range(6), repeat=3), key=value)
        assert tuple(found_BL[row, 2:].tolist()) == best


def test_a_temperature_divides_scores_and_transitions() -> None:
    """Of one generated position after a given one, the shares are those of softmax((score + link)/T)."""
    draws, given_token = 20_000, 3
    logits_BLV = torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(0)).expand(draws, -1, -1)
    tokens_BL = torch.full((draws, 2), given_token)
    batch = Batch(("",) * draws, tokens_BL, torch.tensor([[False, True]]).expand(draws, -1))
    options = ChainOptions(weight=0.7, bonus=0, top_k=6, repeats=True, temperature=2)
    noise = Noise([(0, str(row)) for row in range(draws)])
    found_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), noise)
    link_V = transitions(torch.tensor(given_token), torch.arange(6))
    wanted_V = ((logits_BLV[0, 1] + 0.7 * link_V) / 2).softmax(0)
    share_V = torch.bincount(found_BL[:, 1], minlength=6) / draws
    assert bool(((share_V - wanted_V).abs() < 4 * (wanted_V / draws).sqrt()).all())


def test_without_weight_it_is_each_position_by_itself() -> None:
    logits_BLV, batch = random_case(0)
    found_BL = chained_tokens(
        logits_BLV, batch, ChainOptions(weight=0, bonus=0, repeats=True), None, (MARKER,), NOISE
    )
    assert torch.equal(found_BL, torch.where(batch.target_BL, logits_BLV.argmax(-1), batch.tokens_BL))


def test_a_bonus_makes_texts_longer() -> None:
    logits_BLV = torch.zeros(1, 4, 3)
    logits_BLV[..., MARKER] = 1.0
    batch = Batch(("a",), torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool))
    lengths = [
        int((chained_tokens(logits_BLV, batch, options, None, (MARKER,), NOISE) != MARKER).sum())
        for options in (ChainOptions(weight=0, bonus=0), ChainOptions(weight=0, bonus=1.5))
    ]
    assert lengths == [0, 4]


@pytest.mark.parametrize("temperature", [0, 2])
def test_rows_in_parts_are_named_alike(monkeypatch: pytest.MonkeyPatch, temperature: float) -> None:
    logits_BLV, batch = random_case(1)
    options = ChainOptions(weight=0.7, top_k=4, temperature=temperature)
    whole_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE)
    monkeypatch.setattr(module, "scores_at_once", lambda device: 1)
    assert torch.equal(chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE), whole_BL)
