"""Options of flow-map distillation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FlowMapOptions(BaseModel):
    """Flow-map distillation.

    Attributes:
        loss: which part of the way from t to s the teacher takes: the last step (``lagrangian``), the first
            (``eulerian``), or none but those of one step of the grid (``progressive``).
        rate: the target is θ's average, average ← rate·average + (1 − rate)·θ; 0 is θ itself.
        times: N, how many times the grid has, t_init the last of them. The teacher's steps are one apart.
        spacing: of the grid: ``time`` is even in the schedule's time, ``ratio`` in (σ/α)^(1/7) (Karras et
            al. 2022).
        order: of the teacher's step, 1 (DDIM, one pass of φ) or 2 (two passes).
        to_end: the share of samples that are mapped right to the clean end, as a student's last call is. The
            others go to times of the grid, drawn evenly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss: Literal["lagrangian", "eulerian", "progressive"] = "lagrangian"
    rate: float = Field(default=0.95, ge=0, lt=1)
    times: int = Field(default=40, ge=2, le=10_000)
    spacing: Literal["time", "ratio"] = "time"
    order: Literal[1, 2] = 1
    to_end: float = Field(default=0.5, ge=0, le=1)
