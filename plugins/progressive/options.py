"""Options of progressive distillation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dlmone.registry import Spacing


class ProgressiveOptions(BaseModel):
    """Progressive distillation, one round of it.

    Attributes:
        steps: the sampling steps that θ learns to take; θ as its stage began takes twice as many. A stage is
            a round: 8, 4, 2, 1 are four stages, each of which starts from the one before.
        spacing: how their times are spread: ``time``, ``ratio``, ``log_snr``, or the times after the first.
        weighting: of ‖θ − x̃‖² at time t: ``truncated_snr`` is max(α²/σ², 1), the paper's; or ``one``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=1, ge=1, le=10_000)
    spacing: Spacing = "time"
    weighting: Literal["truncated_snr", "one"] = "truncated_snr"
