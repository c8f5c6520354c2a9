"""Implement what score-distillation objectives share: ψ's denoising loss, and θ's matching of f_ψ to f_φ."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
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
from .objective import Chart, Objective, Term
from .request import ESTIMATOR, TEACHER, Gradient, Noised, Request, Role


class ScoreDistillation(Objective):
    """ψ learns the generator's score (Eq. 3); θ is updated so that this score matches the teacher's.

    A subclass defines the distance (`match`), and whether θ's gradient flows through the inputs of φ and ψ
    (``gradient``). It may replace the requests. θ's update compares ``phi`` and ``psi`` at one state; ψ's
    update regresses ``dsm`` onto θ's output.

    Args:
        weighting: the prefactor ω_t·α_t²/σ_t⁴ of θ's loss.
        dsm_weighting: γ_t, the weight of ψ's loss.
    """

    #: Where the gradient of φ's and ψ's evaluations flows in θ's update.
    gradient: Gradient
    shown = ("teacher_estimator_gap",)
    charts: tuple[Chart, ...] = (
        Chart("distance of φ and ψ: rms of f_φ − f_ψ", shown),
        Chart("ψ's lag", ("estimator_lag",)),
    )

    def __init__(self, weighting: Weighting, dsm_weighting: DsmWeighting) -> None:
        self.weighting = weighting
        self.dsm_weighting = dsm_weighting
        self.phi = Request(TEACHER, Noised(), self.gradient)
        self.psi = Request(ESTIMATOR, Noised(), self.gradient)
        self.dsm = Request(ESTIMATOR, Noised())

    @abstractmethod
    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        """Return θ's loss [B] from its output and the two predictions at the same e_t."""

    def requests(self, role: Role) -> Sequence[Request]:
        return (self.dsm,) if role == "estimator" else (self.phi, self.psi)

    def generator_loss(self, step: StepContext) -> Term:
        e, f_phi, f_psi, mask = step.e_fake, step[self.phi].x0, step[self.psi].x0, step.mask
        t_B, schedule = step.point(self.phi.state).t_B, step.space.schedule
        weight_B = score_weight(self.weighting, e, f_phi, mask, schedule.alpha(t_B), schedule.sigma(t_B))
        squared_B, lagged_B = estimator_lag(e.detach(), f_phi.detach(), f_psi.detach(), mask)
        logged = {
            "teacher_estimator_gap": squared_B.sqrt(),
            "gap_weighted": weight_B * squared_B,
            "lag_weighted": weight_B * lagged_B,
        }
        return Term(self.match(e, f_phi, f_psi, mask, weight_B), logged)

    def estimator_loss(self, step: StepContext) -> Term:
        t_B, schedule = step.point(self.dsm.state).t_B, step.space.schedule
        gamma_B = dsm_weight(self.dsm_weighting, schedule.alpha(t_B), schedule.sigma(t_B))
        return Term(dsm_loss(step[self.dsm].x0, step.e_fake, step.mask, gamma_B), {})

    def observe(self, role: Role, means: Mapping[str, Tensor]) -> Mapping[str, float | Tensor]:
        """Log ψ's lag, the share of the gap between φ and ψ that is ψ's own error (`estimator_lag`).

        It is 0 where there is no gap.
        """
        if role == "estimator" or "gap_weighted" not in means:
            return {}
        gap, lagged = means["gap_weighted"], means["lag_weighted"]
        return {"estimator_lag": torch.where(gap == 0, 0.0, lagged / gap)}
