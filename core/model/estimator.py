"""Define the score estimator ψ: the generator's score, and features for a discriminator (section 3.2)."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from .. import earlier
from .denoiser import Denoised, Denoiser
from .space import Batch


class ScoreEstimator(nn.Module, ABC):
    """Denoise the generator's noised outputs; a discriminator reads the hidden states."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        instead = "features are asked for, of which an objective's own head makes logits"
        earlier.refuse_parameter(cls, "estimate", "logits", instead)

    @property
    def takes_guidance(self) -> bool:
        """Whether `estimate` takes the guidance scale as an input (`Denoiser.takes_guidance`)."""
        return False

    @abstractmethod
    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """Return ê_ψ(e_t, t, c) and further outputs of the same pass, as `Denoiser.denoise` does."""


class DiffusionScoreEstimator(ScoreEstimator):
    """ψ as a denoiser of the teacher's architecture."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    @property
    def takes_guidance(self) -> bool:
        return self.network.takes_guidance

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        return self.network.evaluate(e_t, t_B, batch, **wanted)
