"""ELF's path: a straight line from noise of standard deviation 2 to data, z = (1 − s)·x + 2s·n.

dlmone's time s runs from data to noise; the official t, which the network reads, is 1 − s.
"""

import math
from statistics import NormalDist

import torch
from torch import Tensor

from dlmone.core import NoiseSchedule

#: Standard deviation of the pure noise.
NOISE_SCALE = 2.0
#: t of training, and of the sampler's grid, is sigmoid(MEAN + STD·n) with n ~ N(0, 1).
MEAN, STD = -1.5, 0.8


def logit_normal(normal: Tensor, mean: float = MEAN, std: float = STD) -> Tensor:
    """Return sigmoid(mean + std·n) of standard normal draws, in their dtype and shape."""
    return torch.sigmoid(mean + std * normal)


class ElfSchedule(NoiseSchedule):
    """α = 1 − s, σ = 2s. Quantiles are those of the training times, whose median is s = 0.82."""

    discrete = False
    min_time, max_time = 0.001, 1.0

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t.double()

    def sigma(self, t: Tensor) -> Tensor:
        return NOISE_SCALE * t.double()

    def time_of_ratio(self, ratio: float) -> float:
        return 1 - 1 / (1 + ratio / NOISE_SCALE)  # so that an infinite ratio is pure noise, s = 1

    def time_of_quantile(self, quantile: float) -> float:
        """Return the s below which the share ``quantile`` of the training times lies.

        Near the data, below s = 0.4, there is next to none of them, and the network knows little.
        """
        if quantile <= 0:
            return self.min_time
        if quantile >= 1:
            return self.max_time
        logit = MEAN + STD * NormalDist().inv_cdf(1 - quantile)
        return max(1 - 1 / (1 + math.exp(-logit)), self.min_time)

    def network_time(self, t: Tensor) -> Tensor:
        return (1 - t.double()).float()
