"""Diff-Instruct (Luo et al. 2023): θ follows the difference of the two scores as a constant field."""

from dataclasses import replace

from torch import Tensor

from dlmone.core import Gradient, Noised, QuantileTimes, ScoreDistillation
from dlmone.core.step.losses import diff_instruct_loss

from .options import DiffInstructOptions, DMD2Options


class ConstantField(ScoreDistillation):
    """w·sg(f_ψ − f_φ)ᵀe: neither network is differentiated with respect to its input."""

    gradient = Gradient.CONSTANT

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return diff_instruct_loss(e, f_phi, f_psi, mask, weight_B)


class DiffInstruct(ConstantField):
    """w·sg(f_ψ − f_φ)ᵀe. Cheaper than SiD: no backward pass through φ or ψ."""

    def __init__(self, options: DiffInstructOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)


class DMD2(ConstantField):
    """θ's loss of DMD2 (Yin et al. 2024): ½·‖e − sg(e − g)‖², g = (f_ψ − f_φ)/mean|e − f_φ|.

    Its gradient in e is g. gᵀe has the same gradient, and is Diff-Instruct's loss with w = 1/mean|e − f_φ|
    (SiD's weight); this class computes that. DMD2 adds separate times for θ: t ~ U[2 %, 98 %] of the trained
    range, while ψ learns at all times. The rest of DMD2 is set in the recipe: no regression, five updates of
    ψ per update of θ (``estimator_steps``), and a GAN on ψ's features (``diffusion_gan`` with a weight of
    about 10⁻³).
    """

    def __init__(self, options: DMD2Options) -> None:
        super().__init__("sid", options.dsm_weighting)
        state = Noised(times=QuantileTimes(options.low, options.high))
        self.phi, self.psi = (replace(request, state=state) for request in (self.phi, self.psi))
