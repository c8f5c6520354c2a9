"""Grids of training times, even in the schedule's time or in its noise."""

from typing import Literal

from ..model.schedule import NoiseSchedule
from .ddim import sampling_times
from .spacing import times_at


def training_grid(
    schedule: NoiseSchedule, top: float, count: int, spacing: Literal["time", "ratio"]
) -> list[float]:
    """Return times t_1 < … < t_N = ``top``, N = ``count`` or, of whole times that coincide, fewer.

    Even times are those that a sampler of N calls is called at, so that t_1 is one step above the clean end.
    By ratio, (σ/α)^(1/7) is even from the schedule's first time on; whole times that coincide are one.

    Raises:
        InputError: the schedule does not have so many even times, or the ratio has no end.
    """
    if spacing == "time":
        return sampling_times(schedule, top, count)[::-1]
    shares = [i / (count - 1) for i in range(count)]
    return sorted({*times_at(schedule, top, schedule.min_time, shares, spacing)})
