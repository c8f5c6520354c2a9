"""SiD (Zhou et al. 2024): θ minimises the Fisher divergence to the teacher, Eq. 4."""

from torch import Tensor

from dlmone.core import Route, ScoreDistillation
from dlmone.core.losses import sid_loss

from .options import SiDOptions


class SiD(ScoreDistillation):
    """Score identity distillation. The generator's gradient runs through the inputs of both φ and ψ."""

    route = Route.DIFFERENTIABLE

    def __init__(self, options: SiDOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)
        self.mu = options.mu

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return sid_loss(e, f_phi, f_psi, mask, self.mu, weight_B)
