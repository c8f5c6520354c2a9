"""Options of the Diffusion-GAN objective."""

from pydantic import BaseModel, ConfigDict


class DiffusionGANOptions(BaseModel):
    """The Diffusion-GAN term.

    Attributes:
        over_weight: divide θ's loss of a sample by its mean|e − ê_φ|, SiD's weight. SiDA divides the mean
            loss of a GPU's batch by each sample's weight instead. The two have one mean where loss and
            weight are uncorrelated; this one does not depend on how a batch is split. The paper is silent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    over_weight: bool = False
