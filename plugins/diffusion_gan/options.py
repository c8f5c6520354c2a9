"""Options of the Diffusion-GAN objective."""

from pydantic import BaseModel, ConfigDict


class DiffusionGANOptions(BaseModel):
    """``over_weight`` divides θ's term by mean|e − ê_φ| of its sample, as SiDA does (the paper is silent)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    over_weight: bool = False
