"""The t interval beside published quantiles, and by hand."""

import math

import pytest

from dlmone.ablation.intervals import t_interval, t_probability, t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # Student's t at 0.975, as tables print it (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042)],
)
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=5e-4)


def test_probabilities_have_closed_forms_for_one_and_two_degrees_of_freedom() -> None:
    for t in (0.0, 0.3, 1.0, 7.5):
        assert t_probability(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi)
        assert t_probability(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)))


def test_an_interval_needs_two_values() -> None:
    assert t_interval([0.5]) is None
    # Mean 2, standard deviation 1, standard error 1/√3.
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
