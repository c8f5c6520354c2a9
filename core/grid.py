"""Grids of training times, even in the schedule's time or in its noise."""

import math
from functools import lru_cache
from typing import Literal

from .ddim import sampling_times
from .errors import InputError
from .schedule import NoiseSchedule

Spacing = Literal["time", "ratio"]

#: ρ of Karras et al.'s grid.
RHO = 7


def training_grid(schedule: NoiseSchedule, top: float, count: int, spacing: Spacing) -> list[float]:
    """Return times t_1 < … < t_N = ``top``, N = ``count`` or, of whole times that coincide, fewer.

    Even times are those that a sampler of N calls is called at, so that t_1 is one step above the clean end.
    By ratio, (σ/α)^(1/ρ) is even from the schedule's first time on; whole times that coincide are one.

    Raises:
        InputError: the schedule does not have so many even times, or the ratio has no end.
    """
    if spacing == "time":
        return sampling_times(schedule, top, count)[::-1]
    return list(_by_ratio(schedule, top, count))


@lru_cache(maxsize=8)
def _by_ratio(schedule: NoiseSchedule, top: float, count: int) -> tuple[float, ...]:
    """Return the grid by ratio, which takes some milliseconds: kept, for every update asks for it."""
    ends = (float(schedule.ratio(schedule.tensor(time, 1))) for time in (schedule.min_time, top))
    low, high = (end ** (1 / RHO) for end in ends)
    if math.isinf(high):
        raise InputError(f'spacing: σ/α has no end at t_init = {top:g}; use spacing = "time"')
    roots = [low + (high - low) * i / (count - 1) for i in range(1, count - 1)]
    inner = (schedule.time_of_ratio(root**RHO) for root in roots)
    return tuple(sorted({schedule.min_time, *inner, top}))
