"""Options of moment matching."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MomentMatchingOptions(BaseModel):
    """Moment matching.

    Attributes:
        weighting: w(s) of θ's loss (`dlmone.core.step.losses.score_weight`).
        dsm_weighting: w(s) of ψ's loss: ``one``, ``snr`` (α²/σ²), or ``min_snr``, that clipped at 5.
        teacher_pull: the weight of ‖ê_ψ − ê_φ‖² in ψ's loss, 1 in the paper. At λ, ψ goes 1/(1 + λ) of the
            way from φ to the mean of θ's outputs, and θ's gradient is as much shorter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weighting: Literal["sid", "one", "score", "snr"] = "one"
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"
    teacher_pull: float = Field(default=1.0, ge=0)
