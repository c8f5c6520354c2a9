"""Options of the Diff-Instruct objective."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DiffInstructOptions(BaseModel):
    """``weighting`` is the prefactor of the loss (SiD's 1/mean|e − ê_φ| by default)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weighting: Literal["sid", "one", "score", "snr"] = "sid"
    dsm_weighting: Literal["one", "snr", "min_snr"] = "one"
