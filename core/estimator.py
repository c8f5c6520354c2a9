"""The score estimator ψ: the generator's score, and the features that a discriminator reads (section 3.2)."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from .denoiser import Denoised, Denoiser
from .space import Batch


class ScoreEstimator(nn.Module, ABC):
    """Denoises the generator's noised outputs; its hidden states tell real from generated."""

    @abstractmethod
    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """Return ê_ψ(e_t, t, c) and what else is wanted from the same pass, as `Denoiser.denoise` does."""


class DiffusionScoreEstimator(ScoreEstimator):
    """ψ as a denoiser of the teacher's shape."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        return self.network.evaluate(e_t, t_B, batch, **wanted)
