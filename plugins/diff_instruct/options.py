"""Options of Diff-Instruct and DMD2."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DiffInstructOptions(BaseModel):
    """``weighting`` is the prefactor of the loss (SiD's 1/mean|e − ê_φ| by default)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    #: The prefactor of θ's loss: SiD's 1/mean|e − ê_φ|, none, ω_t = 1, or α²/σ².
    weighting: Literal["sid", "one", "score", "snr"] = "sid"
    #: γ_t of ψ's loss: 1, the error in x0; snr, the error in ε; min_snr, that clipped at 5.
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"


class DMD2Options(BaseModel):
    """Distribution matching distillation, improved.

    Attributes:
        low: lower end of θ's uniform distribution of t, as a quantile of the trained range.
        high: upper end of it. ψ is trained at the stage's times.
        dsm_weighting: γ_t of ψ's loss; ``snr`` is the error in ε, which DMD2 trains with on Stable Diffusion.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float = Field(default=0.02, ge=0, le=1)
    high: float = Field(default=0.98, ge=0, le=1)
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self
