"""Diff-Instruct (Luo et al. 2023): θ follows the difference of the two scores as a constant field."""

from torch import Tensor

from dlmone.core import Gradient, ScoreDistillation
from dlmone.core.losses import diff_instruct_loss

from .options import DiffInstructOptions


class DiffInstruct(ScoreDistillation):
    """Cheaper than SiD: neither network is differentiated with respect to its input."""

    gradient = Gradient.CONSTANT

    def __init__(self, options: DiffInstructOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return diff_instruct_loss(e, f_phi, f_psi, mask, weight_B)
