"""plugins/diffuseq/training/times.py against the official LossSecondMomentResampler."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmone.plugins.diffuseq.training.times import LossAwareTimes, NoisyTimes, UniformTimes

OFFICIAL = json.loads((Path(__file__).parents[3] / "data" / "diffuseq" / "lossaware.json").read_text())


def observed(updates: int) -> LossAwareTimes:
    times = LossAwareTimes(OFFICIAL["num_timesteps"], OFFICIAL["history_per_term"], OFFICIAL["uniform_prob"])
    for ts, losses in OFFICIAL["updates"][:updates]:
        times.observe(torch.tensor(ts), torch.tensor(losses, dtype=torch.float64))
    return times


@pytest.fixture
def times() -> LossAwareTimes:
    return observed(len(OFFICIAL["updates"]))


def test_the_weights_after_each_update_are_the_official_ones() -> None:
    for updates, weights in enumerate(OFFICIAL["weights_after"], start=1):
        np.testing.assert_allclose(observed(updates).weights(), weights, rtol=1e-12)


def test_probabilities_and_importance_weights_are_the_official_ones(times: LossAwareTimes) -> None:
    p = times.probabilities()
    np.testing.assert_allclose(p, OFFICIAL["probabilities"], rtol=1e-12)
    middles = torch.from_numpy(p.cumsum() - p / 2)  # a draw in the middle of each time's share
    t_B, weight_B = times.draw(middles)
    assert t_B.tolist() == list(range(times.steps))
    np.testing.assert_allclose(weight_B, OFFICIAL["importance_weights_all_t"], rtol=1e-6)


def test_equal_uniform_draws_give_the_official_times(times: LossAwareTimes) -> None:
    uniform_B = torch.from_numpy(np.random.RandomState(5).random_sample(16))
    t_B, weight_B = times.draw(uniform_B)
    official_t, official_weights = OFFICIAL["numpy_seed5_sample16"]
    assert t_B.tolist() == official_t
    np.testing.assert_allclose(weight_B, official_weights, rtol=1e-6)


def test_the_state_survives_a_checkpoint(times: LossAwareTimes) -> None:
    restored = LossAwareTimes(times.steps)
    state = times.state()
    restored.load_state(state)
    for each in (times, restored):
        each.observe(torch.tensor([3, 3, 5]), torch.tensor([1.0, 2.0, 3.0]))
    assert (restored.probabilities() == times.probabilities()).all()
    assert not torch.equal(state["counts"], times.state()["counts"]), "a state is a copy"


def test_losses_that_are_not_finite_are_not_remembered(times: LossAwareTimes) -> None:
    before = times.probabilities()
    times.observe(torch.tensor([1, 2]), torch.tensor([float("nan"), float("inf")]))
    assert (times.probabilities() == before).all()


@settings(deadline=None)
@given(draw=st.floats(0, 1, exclude_max=True), steps=st.integers(2, 3000))
def test_uniform_times_split_the_unit_interval_evenly(draw: float, steps: int) -> None:
    t_B, weight_B = UniformTimes(steps).draw(torch.tensor([draw], dtype=torch.float64))
    assert abs(t_B.item() - draw * steps) <= 1 + 1e-6
    assert 0 <= t_B.item() < steps
    assert weight_B.item() == pytest.approx(1.0)


@settings(deadline=None)
@given(steps=st.integers(2, 3000), data=st.data())
def test_noisy_times_fall_below_their_start_once_in_ten_draws(steps: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, steps - 1))
    times = NoisyTimes(steps, start)
    assert times.probabilities().sum() == pytest.approx(1)
    assert times.probabilities()[:start].sum() == pytest.approx(0.1 if start else 0)
    t_B, weight_B = times.draw(torch.linspace(0, 0.999, 1000, dtype=torch.float64))
    assert (t_B < start).sum().item() == pytest.approx(100 if start else 0, abs=2)
    assert t_B.min() >= 0
    assert t_B.max() < steps
    assert (weight_B == 1).all()
