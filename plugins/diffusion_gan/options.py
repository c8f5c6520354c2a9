"""Options of the Diffusion-GAN objective."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DiffusionGANOptions(BaseModel):
    """The Diffusion-GAN term.

    Attributes:
        head: how D maps ψ's hidden states at generated positions to logits. Either their mean, with each
            channel a logit and no parameters (SiD-DiT), or a linear map of this mean to one logit.
        layer: the layer whose hidden states D reads; -1 is the last.
        over_weight: divide each sample's θ loss by its mean|e − ê_φ|, SiD's weight. SiDA instead divides the
            mean loss of a GPU's batch by each sample's weight. Both have the same mean if loss and weight
            are uncorrelated; this form does not depend on how a batch is split. The paper does not say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Literal["token_mean", "linear"] = "token_mean"
    layer: int = Field(default=-1, ge=-1_000, le=1_000)
    over_weight: bool = False
