"""A stage's times, as the recipe gives them, on the teacher's schedule."""

from __future__ import annotations

from dlmone.core import InputError, LogNormalTimes, NoiseSchedule, Spacing, Times, UniformTimes
from dlmone.core.step.renoise import renoising_times
from dlmone.registry import spacing_on
from dlmone.registry.schema import LogNormal, Stage


def stage_times(name: str, stage: Stage, schedule: NoiseSchedule) -> tuple[float, tuple[float, float]]:
    """Return t_init and [t_min, t_max) of a stage as times of the teacher's schedule.

    Raises:
        InputError: a time lies outside the trained range, or t_min is not below t_max.
    """
    named = {"t_init": stage.t_init, "t_min": stage.t_min, "t_max": stage.t_max}
    t_init, t_min, t_max = (time.on(schedule, f"stages.{name}.{key}") for key, time in named.items())
    if t_min >= t_max:
        raise InputError(f"stages.{name}: t_min ({t_min:g}) must be below t_max ({t_max:g})")
    return t_init, (t_min, t_max)


def stage_spacing(name: str, stage: Stage, schedule: NoiseSchedule) -> Spacing:
    """Return how the times of a stage's student's network calls are spread.

    Raises:
        InputError: a time lies outside the trained range, or the times do not fall.
    """
    spacing: Spacing = spacing_on(stage.spacing, schedule, f"stages.{name}.spacing")
    t_init = stage.t_init.on(schedule, f"stages.{name}.t_init")
    try:
        renoising_times(schedule, t_init, stage.calls, spacing)
    except InputError as error:
        raise InputError(f"stages.{name}.{error}") from None
    return spacing


def times_of(config: LogNormal | None, t_range: tuple[float, float]) -> Times:
    """Return a role's distribution of times: uniform on the stage's range, or log-normal within it."""
    return LogNormalTimes(config.mean, config.std, *t_range) if config else UniformTimes(*t_range)
