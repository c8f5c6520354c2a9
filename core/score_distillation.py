"""What score-distillation objectives share: ψ's denoising loss, and a pull of f_ψ towards f_φ."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from .context import StepContext
from .losses import (
    DsmWeighting,
    Weighting,
    dsm_loss,
    dsm_weight,
    estimator_lag,
    score_weight,
)
from .objective import Chart, Needs, Objective, Role, Route, Term


class ScoreDistillation(Objective):
    """ψ learns the generator's score (Eq. 3); θ is pulled so that it matches the teacher's.

    A subclass says by which distance (`match`) and by which route its gradient reaches θ (`route`).

    Args:
        weighting: the prefactor ω_t·α_t²/σ_t⁴ of θ's loss.
        dsm_weighting: γ_t of ψ's.
    """

    #: How the predictions of φ and ψ enter θ's gradient.
    route: Route
    shown = ("teacher_estimator_gap",)
    charts: tuple[Chart, ...] = (
        Chart("distance of φ and ψ: rms of f_φ − f_ψ", shown),
        Chart("ψ's lag", ("estimator_lag",)),
    )

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
        squared_B, lagged_B = estimator_lag(e.detach(), f_phi.detach(), f_psi.detach(), mask)
        logged = {
            "teacher_estimator_gap": squared_B.sqrt(),
            "gap_weighted": weight_B * squared_B,
            "lag_weighted": weight_B * lagged_B,
        }
        return Term(self.match(e, f_phi, f_psi, mask, weight_B), logged)

    def estimator_loss(self, context: StepContext) -> Term:
        gamma_B = dsm_weight(self.dsm_weighting, context.alpha_B, context.sigma_B)
        return Term(dsm_loss(context.estimate.x0, context.e_fake, context.mask, gamma_B), {})

    def observe(self, role: Role, means: Mapping[str, float]) -> Mapping[str, float]:
        """Log ψ's lag, the share of the gap between φ and ψ that is ψ's own error (`estimator_lag`)."""
        if role == "estimator" or not means.get("gap_weighted"):
            return {}
        return {"estimator_lag": means["lag_weighted"] / means["gap_weighted"]}
