"""Intervals and tests: against the normal law, exact enumeration, and scoring resampled examples anew."""

from itertools import product

import numpy as np
import pytest

from dlmone.evaluation.confidence import Resampling, Sums


def ratio(totals):
    return float(totals[0] / totals[1])


def test_the_interval_of_a_mean_is_nearly_the_normal_one():
    values = np.random.default_rng(0).random(2000)
    [(low, high)] = Resampling(4000).intervals([Sums.of_mean(values)])
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=half / 20)
    assert high == pytest.approx(values.mean() + half, abs=half / 20)


def test_intervals_are_those_of_scoring_resampled_examples_anew():
    """Of scores of different sizes at once, of sums that are no mean, and by a loop over resamples."""
    rng = np.random.default_rng(1)
    rows, values = rng.random((30, 2)) + 0.1, rng.random(7)
    resampling = Resampling(200, seed=3, level=0.8)
    found = resampling.intervals([Sums(rows, ratio), Sums.of_mean(values), Sums.of_mean(rows[:, 0])])
    drawn = np.random.default_rng(3).integers(30, size=(200, 30))
    for interval, score in ((found[0], ratio), (found[2], lambda totals: totals[0] / 30)):
        expected = [score(rows[index].sum(axis=0)) for index in drawn]
        assert interval == pytest.approx(np.quantile(expected, [0.1, 0.9]))
    small = np.random.default_rng(3).integers(7, size=(200, 7))
    assert found[1] == pytest.approx(np.quantile(values[small].mean(axis=1), [0.1, 0.9]))


def test_many_examples_are_resampled_in_chunks(monkeypatch):
    values = Sums.of_mean(np.random.default_rng(2).random(50))
    other = Sums.of_mean(np.random.default_rng(3).random(50))
    whole = Resampling(60).intervals([values]), Resampling(60).compare([values], [other])
    monkeypatch.setattr("dlmone.evaluation.confidence._CHUNK", 7 * 50)
    assert Resampling(60).intervals([values])[0] == pytest.approx(whole[0][0])
    [chunked], [one] = Resampling(60).compare([values], [other]), whole[1]
    assert (chunked.p, *chunked.interval) == pytest.approx((one.p, *one.interval))


def test_progress_ends_with_the_work_that_was_announced(monkeypatch):
    rng = np.random.default_rng(5)
    scores = [Sums.of_mean(rng.random(size)) for size in (30, 7, 30)]
    pairs = [scores[0], scores[2]]
    for chunk in (4_000_000, 210):
        monkeypatch.setattr("dlmone.evaluation.confidence._CHUNK", chunk)
        told: list[int] = []
        resampling = Resampling(60, advance=told.append)
        assert resampling.intervals(scores) == Resampling(60).intervals(scores)
        assert sum(told) == resampling.interval_work(scores) == 60 * (2 + 3)
        told.clear()
        assert resampling.compare(pairs, pairs[::-1]) == Resampling(60).compare(pairs, pairs[::-1])
        assert sum(told) == resampling.comparison_work(2) == 60 * (2 + 8)
    assert Resampling(60).comparison_work(0) == 0


def test_the_p_value_is_that_of_all_exchanges():
    """With 10 examples all 1,024 exchanges can be counted: exact, for a mean and for a ratio of sums."""
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 10, 2)) + 0.1
    a[:, 0] += 0.25
    found = Resampling(20_000).compare(
        [Sums(a, ratio), Sums.of_mean(a[:, 0])], [Sums(b, ratio), Sums.of_mean(b[:, 0])]
    )
    for comparison, value in zip(found, (ratio, lambda totals: totals[0] / 10), strict=True):
        observed = value(a.sum(axis=0)) - value(b.sum(axis=0))
        coins = np.array(list(product([False, True], repeat=10)))[:, :, None]
        ours, theirs = np.where(coins, b, a).sum(axis=1), np.where(coins, a, b).sum(axis=1)
        chance = [abs(value(x) - value(y)) for x, y in zip(ours, theirs, strict=True)]
        exact = np.mean(np.array(chance) >= abs(observed) - 1e-12)
        assert comparison.difference == pytest.approx(observed)
        assert comparison.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
        assert 0.001 < exact < 0.5
        assert comparison.interval[0] < observed < comparison.interval[1]


def test_the_interval_of_a_difference_is_paired():
    """Two systems that differ by a constant differ surely, however much examples vary."""
    values = np.random.default_rng(5).random(100)
    [found] = Resampling(500).compare([Sums.of_mean(values + 0.01)], [Sums.of_mean(values)])
    assert found.interval == pytest.approx((0.01, 0.01))
    assert found.p == pytest.approx(1 / 501)


def test_a_system_against_itself():
    values = Sums.of_mean([0.0, 1.0, 1.0])
    [found] = Resampling(100).compare([values], [values])
    assert (found.difference, found.interval, found.p) == (0, (0, 0), 1)
    assert Resampling(100).compare([], []) == Resampling(100).intervals([]) == []


def test_the_seed_decides():
    values = [Sums.of_mean(np.random.default_rng(6).random(40))]
    assert Resampling(100).intervals(values) == Resampling(100).intervals(values)
    assert Resampling(100).intervals(values) != Resampling(100, seed=1).intervals(values)
