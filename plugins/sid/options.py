"""Options of the SiD objective."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SiDOptions(BaseModel):
    """``mu`` is μ of Eq. 4, ``weighting`` its ω_t·α_t²/σ_t⁴, ``dsm_weighting`` γ_t of Eq. 3."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mu: float = 1.2
    weighting: Literal["sid", "one", "score", "snr"] = "sid"
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"
