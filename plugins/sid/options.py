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
        teacher_guidance: κ of f(∅) + κ·(f(c) − f(∅)) for f_φ in θ's loss (SiD-LSG's κ4). 1 is no guidance.
        estimator_guidance: the same for f_ψ in θ's loss (κ2 = κ3).
        dsm_guidance: the same for f_ψ in ψ's own loss (κ1). SiD-LSG sets all to one value, 1.5 to 4.5.
        condition_dropout: the share of samples whose condition ψ is not given in its own update, so that it
            learns f_ψ(∅); only where ψ is guided.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mu: float = 1.2
    mu_lag: float = Field(default=0.0, ge=0)
    mu_memory: int = Field(default=20, ge=1, le=1_000_000)
    weighting: Literal["sid", "one", "score", "snr"] = "sid"
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"
    teacher_guidance: float = Field(default=1.0, ge=0)
    estimator_guidance: float = Field(default=1.0, ge=0)
    dsm_guidance: float = Field(default=1.0, ge=0)
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)

    @property
    def guides_estimator(self) -> bool:
        """Whether an evaluation of ψ is guided."""
        return self.estimator_guidance != 1 or self.dsm_guidance != 1
