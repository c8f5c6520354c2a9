"""What score-distillation objectives share: ψ's denoising loss, and a pull of f_ψ towards f_φ."""

from abc import abstractmethod

from torch import Tensor

from .context import StepContext
from .losses import DsmWeighting, Weighting, dsm_loss, dsm_weight, masked_mean, score_weight
from .objective import Needs, Objective, Role, Route, Term


class ScoreDistillation(Objective):
    """ψ learns the generator's score (Eq. 3); θ is pulled so that it matches the teacher's.

    A subclass says by which distance (`match`) and by which route its gradient reaches θ (`route`).

    Args:
        weighting: the prefactor ω_t·α_t²/σ_t⁴ of θ's loss.
        dsm_weighting: γ_t of ψ's.
    """

    #: How the predictions of φ and ψ enter θ's gradient.
    route: Route

    def __init__(self, weighting: Weighting, dsm_weighting: DsmWeighting) -> None:
        self.weighting = weighting
        self.dsm_weighting = dsm_weighting

    @abstractmethod
    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        """Return θ's loss [B] from its output and the two predictions at the same e_t."""

    def needs(self, role: Role) -> Needs:
        if role == "estimator":
            return Needs(estimator=Route.DIFFERENTIABLE)
        return Needs(teacher=self.route, estimator=self.route)

    def generator_loss(self, context: StepContext) -> Term:
        e, f_phi, f_psi, mask = context.e_fake, context.f_phi, context.estimate.x0, context.mask
        weight_B = score_weight(self.weighting, e, f_phi, mask, context.alpha_B, context.sigma_B)
        gap_B = masked_mean((f_phi - f_psi).detach() ** 2, mask).sqrt()
        return Term(self.match(e, f_phi, f_psi, mask, weight_B), {"teacher_estimator_gap": gap_B})

    def estimator_loss(self, context: StepContext) -> Term:
        gamma_B = dsm_weight(self.dsm_weighting, context.alpha_B, context.sigma_B)
        return Term(dsm_loss(context.estimate.x0, context.e_fake, context.mask, gamma_B), {})
