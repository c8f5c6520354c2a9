"""The t interval of a mean over seeds (Student, 1908)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

LEVEL = 0.95


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Return mean ± t·s/√n, where s is the standard deviation with n − 1; None for a single value.

    It assumes that the values of further seeds would be normal. It covers training and sampling with other
    seeds, not other test examples.
    """
    if len(values) < 2:
        return None
    half = t_quantile((1 + level) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution above its median, by bisection."""
    low, high = 0.0, 1.0
    while t_probability(high, freedom) < probability:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, freedom) < probability else (low, middle)
    return high


def t_probability(t: float, freedom: int) -> float:
    """Return P(T ≤ t) for t ≥ 0 and a whole number of degrees of freedom.

    Abramowitz and Stegun, 26.7.3 and 26.7.4: a finite sum in cos θ, θ = arctan(t/√ν).
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, series = (cosine if odd else 1.0), 0.0
    for i in range(1, freedom // 2 + 1):
        series += term
        term *= cosine**2 * (2 * i / (2 * i + 1) if odd else (2 * i - 1) / (2 * i))
    within = 2 / math.pi * (angle + sine * series) if odd else sine * series
    return (1 + within) / 2
