"""Spread the times of several network calls from the first one down, evenly in a chosen measure."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from ..errors import InputError
from ..model.schedule import NoiseSchedule

#: ``time``: evenly in the schedule's time. ``ratio``: in (σ/α)^(1/7) (Karras et al. 2022). ``log_snr``: in
#: log(σ/α). Or the times of the calls after the first, of which other numbers of calls interpolate.
Spacing = Literal["time", "ratio", "log_snr"] | tuple[float, ...]

#: ρ of Karras et al.'s grid.
RHO = 7


def spaced_times(
    schedule: NoiseSchedule, first: float, end: float, shares: Sequence[float], spacing: Spacing
) -> list[float]:
    """Return the times of network calls at shares of the way from ``first`` (0) down to ``end`` (1).

    Args:
        schedule: the noise schedule.
        first: the first call's time.
        end: where the way ends, a time below.
        shares: rising, from 0.
        spacing: the measure in which shares are taken.

    Raises:
        InputError: the measure has no end at ``first`` or at ``end``, or each time is not below the one
            before: a discrete schedule has too few for so many calls.
    """
    times = times_at(schedule, first, end, shares, spacing)
    if any(below >= above for above, below in pairwise(times)):
        shown = ", ".join(f"{time:g}" for time in times)
        raise InputError(f"spacing: times of {len(times)} network calls must fall, but are {shown}")
    return times


def times_at(
    schedule: NoiseSchedule, first: float, end: float, shares: Sequence[float], spacing: Spacing
) -> list[float]:
    """Return the times at shares of the way from ``first`` to ``end``, whole ones rounded.

    Raises:
        InputError: the measure has no end at ``first`` or at ``end``.
    """
    if spacing == "time":
        times = [_along(first, end, share) for share in shares]
    elif isinstance(spacing, str):
        high, low = (float(schedule.ratio(schedule.tensor(time, 1))) for time in (first, end))
        if math.isinf(high):
            raise InputError(f'spacing: σ/α has no end at {first:g}, the first time; use "time"')
        if spacing == "log_snr" and low <= 0:
            raise InputError(f'spacing: log(σ/α) has no end at {end:g}, the last time; use "ratio" or "time"')
        # The search is inexact at the ends themselves.
        inner = _by_ratio(schedule, high, low, tuple(shares), spacing)
        ends = {0.0: first, 1.0: end}
        times = [ends.get(share, min(max(t, end), first)) for share, t in zip(shares, inner, strict=True)]
    else:
        times = _between([first, *spacing, end], shares)
    return [round(time) for time in times] if schedule.discrete else times


@lru_cache(maxsize=64)
def _by_ratio(
    schedule: NoiseSchedule, high: float, low: float, shares: tuple[float, ...], measure: str
) -> tuple[float, ...]:
    """Return the times at shares of the way between two σ/α, cached: the search takes milliseconds."""
    if measure == "log_snr":
        ratios = [high * (low / high) ** share for share in shares]
    else:
        top, bottom = high ** (1 / RHO), low ** (1 / RHO)
        ratios = [(top + (bottom - top) * share) ** RHO for share in shares]
    return tuple(schedule.time_of_ratio(ratio) for ratio in ratios)


def _along(first: float, end: float, share: float) -> float:
    """Return the number at a share of the way; at 1 it is ``end`` itself, whatever rounding does before."""
    return end if share == 1 else first + share * (end - first)


def _between(points: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return the points' linear interpolation: the i-th of them is at the share i/(number − 1).

    Raises:
        InputError: the points do not fall.
    """
    if any(below >= above for above, below in pairwise(points)):
        shown = ", ".join(f"{point:g}" for point in points[1:-1])
        ends = f"below {points[0]:g} and above {points[-1]:g}"
        raise InputError(f"spacing: named times must fall, and lie {ends}, but are {shown}")
    found = []
    for share in shares:
        place = share * (len(points) - 1)
        index = min(int(place + 1e-9), len(points) - 2)
        found.append(_along(points[index], points[index + 1], place - index))
    return found
