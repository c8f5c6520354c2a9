"""How training times are drawn: one t a sample, from a keyed uniform draw."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

from ..transfer import on_host
from .schedule import NoiseSchedule


class Times(ABC):
    """A distribution of times, by value. A plugin's is a frozen dataclass."""

    @abstractmethod
    def sample(self, schedule: NoiseSchedule, uniform_B: Tensor) -> Tensor:
        """Map uniform draws in [0, 1) to times [B] of the schedule, increasing."""


@dataclass(frozen=True, slots=True)
class UniformTimes(Times):
    """t ~ U[low, high), in times of the schedule (SiD-LSG: the upper end excluded)."""

    low: float
    high: float

    def sample(self, schedule: NoiseSchedule, uniform_B: Tensor) -> Tensor:
        return schedule.sample(uniform_B, self.low, self.high)


@dataclass(frozen=True, slots=True)
class QuantileTimes(Times):
    """t uniform between two quantiles of the trained range (DMD2: 0.02 to 0.98)."""

    low: float
    high: float

    def sample(self, schedule: NoiseSchedule, uniform_B: Tensor) -> Tensor:
        ends = (schedule.time_of_quantile(quantile) for quantile in (self.low, self.high))
        return schedule.sample(uniform_B, *ends)


@dataclass(frozen=True, slots=True)
class LogNormalTimes(Times):
    """log(σ/α) ~ N(mean, std²), at the nearest times within [low, high] (EDM; SiD's ψ: −1.2 and 1.2).

    ``low`` and ``high`` are times of the schedule.
    """

    mean: float
    std: float
    low: float
    high: float

    def sample(self, schedule: NoiseSchedule, uniform_B: Tensor) -> Tensor:
        normal = NormalDist(self.mean, self.std)
        # The ends of the keyed draw are kept inside, where the inverse is finite.
        draws = on_host(uniform_B).double().clamp(1e-9, 1 - 1e-9).tolist()
        times = [schedule.time_of_ratio(math.exp(normal.inv_cdf(u))) for u in draws]
        return schedule.tensors([min(max(time, self.low), self.high) for time in times], uniform_B.device)
