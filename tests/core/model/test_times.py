"""Distributions of training times: their quantiles, on continuous and whole times."""

import math
from statistics import NormalDist

import pytest
import torch

from dlmone.core import FlowSchedule, LogNormalTimes, NoiseSchedule, UniformTimes
from dlmone.core.model.schedule import discrete_schedule

UNIFORM = torch.tensor([0.0, 1e-12, 0.01, 0.3, 0.5, 0.9, 0.999])


@pytest.mark.parametrize("schedule", [FlowSchedule(), discrete_schedule("sqrt", 2000)])
def test_log_normal_times_have_log_normal_ratios(schedule: NoiseSchedule) -> None:
    """σ/α at the drawn quantile is that of the distribution; what lies outside is put at the end."""
    low, high = schedule.time_of_quantile(0.2), schedule.time_of_quantile(0.8)
    found = LogNormalTimes(-0.4, 1.6, low, high).sample(schedule, UNIFORM).tolist()
    normal = NormalDist(-0.4, 1.6)
    for uniform, t in zip(UNIFORM.double().tolist(), found, strict=True):
        ratio = math.exp(normal.inv_cdf(max(uniform, 1e-9)))
        assert t == pytest.approx(min(max(schedule.time_of_ratio(ratio), low), high), rel=1e-6)
    assert found == sorted(found)
    assert (found[0], found[-1]) == pytest.approx((low, high))


def test_uniform_times_stay_below_their_end() -> None:
    schedule = discrete_schedule("sqrt", 2000)
    last_before_one = torch.tensor([0.0, 1 - 2**-24])
    assert UniformTimes(100, 103).sample(schedule, last_before_one).tolist() == [100, 102]
