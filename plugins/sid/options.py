"""Options of the SiD objective."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SiDOptions(BaseModel):
    """Score identity distillation.

    Attributes:
        mu: μ of Eq. 4.
        mu_lag: adaptive μ: how far μ falls for each unit of ψ's lag, μ_now = μ − mu_lag·max(lag, 0). 0 keeps
            μ fixed.
        mu_memory: the lag is an exponential average over about this many updates of θ.
        weighting: ω_t·α_t²/σ_t⁴ of Eq. 4.
        dsm_weighting: γ_t of Eq. 3.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mu: float = 1.2
    mu_lag: float = Field(default=0.0, ge=0)
    mu_memory: int = Field(default=20, ge=1)
    weighting: Literal["sid", "one", "score", "snr"] = "sid"
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"
