"""Options of consistency distillation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ConsistencyOptions(BaseModel):
    """Consistency distillation.

    Attributes:
        rate: the target is θ's average, average ← rate·average + (1 − rate)·θ; 0 is θ itself.
        times: N, how many times the grid has, t_init the last of them. Steps that are too wide make outputs
            too alike; with more of them, what is learned at the first takes longer to come to the last.
        spacing: of the grid: ``time`` is even in the schedule's time, ``ratio`` in (σ/α)^(1/7) (Karras et
            al. 2022).
        order: of the step of the teacher's ODE, 1 (DDIM, one pass of φ) or 2 (two passes).
        weighting: of the distance at time t, as of a denoising loss: ``one``, ``snr`` (α²/σ²), or
            ``min_snr``, that clipped at 5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rate: float = Field(default=0.95, ge=0, lt=1)
    times: int = Field(default=40, ge=2, le=10_000)
    spacing: Literal["time", "ratio"] = "time"
    order: Literal[1, 2] = 1
    weighting: Literal["one", "snr", "min_snr"] = "one"
