"""Times in recipes and in plugins' options: by σ/α, by quantile, or plainly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_serializer, model_validator

if TYPE_CHECKING:
    from dlmone.core import NoiseSchedule, TimePoint


class Time(BaseModel):
    """A time by σ/α (``{ ratio = 2.5 }``), by quantile of the trained range, or as a plain number.

    It is also a type for plugins' options: ``until: Time | None = None``. `on` gives the number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    time: float | None = None
    ratio: PositiveFloat | None = None
    quantile: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_one_form(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"time": value}
        if isinstance(value, Time) or (isinstance(value, dict) and len(value) == 1):
            return value
        raise ValueError("expected a number, or a table with one of the keys ratio and quantile")

    @model_serializer
    def _as_written(self) -> Any:
        if self.time is not None:
            return int(self.time) if self.time == int(self.time) else self.time
        return {"ratio": self.ratio} if self.ratio is not None else {"quantile": self.quantile}

    def on(self, schedule: NoiseSchedule, name: str) -> float:
        """Return the time on a schedule.

        Args:
            schedule: a teacher's.
            name: the option's, with which the sentence of an error begins.

        Raises:
            InputError: the time is outside the schedule's trained range.
        """
        return schedule.resolve(self.point(), name)

    def point(self) -> TimePoint:
        """Return the same for `dlmone.core`."""
        from dlmone.core import TimePoint  # comes with torch

        return TimePoint(self.time, self.ratio, self.quantile)


def is_time(value: Mapping[str, Any]) -> bool:
    """Tell whether a table is a time: one value, that another time replaces and is not merged with."""
    return any(isinstance(value.get(key), (int, float)) for key in ("ratio", "quantile")) and len(value) == 1


#: How the times of several network calls are spread from the first one down: evenly in the schedule's time,
#: in (σ/α)^(1/7) or in log(σ/α); or the times of the calls after the first. `spacing_on` resolves it.
Spacing = Literal["time", "ratio", "log_snr"] | tuple[Time, ...]


def spacing_on(spacing: Spacing, schedule: NoiseSchedule, name: str) -> Any:
    """Return a spacing with its times on a schedule, `dlmone.core.Spacing`.

    Raises:
        InputError: a time is outside the schedule's trained range.
    """
    if isinstance(spacing, str):
        return spacing
    return tuple(time.on(schedule, name) for time in spacing)
