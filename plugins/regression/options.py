"""Options of the regression objective."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dlmone.registry import Spacing, Time


class RegressionOptions(BaseModel):
    """Regression onto samples of several network calls.

    Attributes:
        steps: network calls per target. The teacher's samples should be good at that NFE.
        initial: the network of the first call: the ``teacher`` at its last time, or at t_init the
            ``student`` with its weights from the start of the stage, or the moving ``average`` of its
            weights. The teacher makes the later calls.
        rate: of that average, and read for it alone: average ← rate·average + (1 − rate)·weights at each
            update.
        until: the last time. Calls are spread from the first one's time down to it; None is the clean state.
        spacing: how they are spread: ``time``, ``ratio``, ``log_snr``, or the times after the first.
        temperature: of the teacher's token probabilities, of which x0 is the mean (LangFlow); below 1 its
            samples are likelier and less diverse.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(default=8, ge=1, le=10_000)
    initial: Literal["teacher", "student", "average"] = "teacher"
    rate: float = Field(default=0.99, ge=0, lt=1)
    until: Time | None = None
    spacing: Spacing = "time"
    temperature: float = Field(default=1.0, gt=0)

    @property
    def from_theta(self) -> bool:
        """Whether a target's first call is θ's."""
        return self.initial != "teacher"

    @model_validator(mode="after")
    def _a_student_is_refined(self) -> Self:
        if self.from_theta and self.steps < 2:
            raise ValueError(
                f"with initial = {self.initial}, steps must be at least 2: one call is not refined"
            )
        return self
