"""Options of score distillation sampling."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlmone.registry import Time


class SDSOptions(BaseModel):
    """Score distillation sampling.

    Attributes:
        weighting: the prefactor of the loss (`dlmone.core.step.losses.score_weight`).
        rounding: pull to the token states nearest to ê_φ instead of to ê_φ itself, where the space rounds.
        t_min: samples noised to an earlier time are ignored; None ignores none.
        t_max: samples noised to this time or a later one are ignored; None ignores none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weighting: Literal["sid", "one", "score", "snr"] = "one"
    rounding: bool = True
    t_min: Time | None = None
    t_max: Time | None = None
