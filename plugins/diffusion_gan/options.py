"""Options of the Diffusion-GAN objective."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DiffusionGANOptions(BaseModel):
    """The Diffusion-GAN term.

    Attributes:
        head: D's way from ψ's hidden states at generated positions to logits: their mean, each channel a
            logit and no parameters (SiD-DiT), or a linear map of it to one logit.
        layer: whose hidden states, -1 the last.
        over_weight: divide θ's loss of a sample by its mean|e − ê_φ|, SiD's weight. SiDA divides the mean
            loss of a GPU's batch by each sample's weight instead. The two have one mean where loss and
            weight are uncorrelated; this one does not depend on how a batch is split. The paper is silent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Literal["token_mean", "linear"] = "token_mean"
    layer: int = -1
    over_weight: bool = False
