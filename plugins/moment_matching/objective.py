"""Moment matching (Salimans et al. 2024), in its alternating form, for students of one call or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    OUTPUT,
    TEACHER,
    Gradient,
    NoiseSchedule,
    Point,
    Request,
    ScoreDistillation,
    State,
    StepContext,
    Term,
)
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.step.losses import diff_instruct_loss, dsm_loss, dsm_weight
from dlmone.core.step.request import Role

from .options import MomentMatchingOptions


def interval(schedule: NoiseSchedule, call_times: Sequence[float], k: int) -> tuple[float, float]:
    """Return [low, high) of s after the k-th call: from the next call's time up to the call's own.

    The first call reads noise without a signal, which is the end of the schedule whatever t_init it is told;
    the last leads to the clean end.
    """
    times = [*call_times, schedule.min_time]
    return times[k], schedule.max_time if k == 1 else times[k - 1]


@dataclass(frozen=True, slots=True)
class Between(State):
    """z_s ~ q(z_s | z_t, e): θ's output e noised to a time s before that of the state z_t it was called at.

    The first call's z_t holds no signal, and then the posterior is the forward diffusion q(z_s | e).
    """

    @property
    def requests(self) -> tuple[Request, ...]:
        return (OUTPUT,)

    def build(self, step: StepContext) -> Point:
        schedule, space, above = step.space.schedule, step.space, step.generator_input
        k, calls = step.calls
        low, high = interval(schedule, step.generator.call_times(calls), k)
        s_B = schedule.sample(step.noise.uniform("s"), low, high)
        epsilon = step.noise.normal("epsilon", space.state_shape)
        if step.calls[0] == 1:
            e_s = schedule.diffuse(step.e_fake, s_B, epsilon)
        else:
            e_s = ddim_step(schedule, step.e_fake, above.e_t, above.t_B, s_B, eta=1.0, fresh=epsilon)
        return Point(space.pin(e_s, step.given, step.fake), s_B, step.fake)


class MomentMatching(ScoreDistillation):
    """θ's outputs e and the data have one mean given z_s, one sampling step below the state θ was called at.

    θ: w(s)·eᵀsg(f_ψ(z_s) − f_φ(z_s)), z_s ~ q(z_s | z_t, e), s uniform between this call's time and the
    next one's. ψ: w(s)·(‖f_ψ(z_s) − e‖² + ‖f_ψ(z_s) − f_φ(z_s)‖²), so f_ψ stands half way between φ and
    E[e | z_s].

    The paper noises data to z_t. Here z_t is what θ is given in inference: noise at its first call, its own
    output noised again at later ones (``calls``). With one call θ's loss is Diff-Instruct's.
    """

    gradient = Gradient.CONSTANT

    def __init__(self, options: MomentMatchingOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)
        self.pull = options.teacher_pull
        self.phi, self.psi = (Request(network, Between()) for network in (TEACHER, ESTIMATOR))
        self.dsm = self.psi

    def requests(self, role: Role) -> Sequence[Request]:
        return (self.phi, self.psi)

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return diff_instruct_loss(e, f_phi, f_psi, mask, weight_B)

    def estimator_loss(self, step: StepContext) -> Term:
        f_phi, f_psi, mask = step[self.phi].x0, step[self.psi].x0, step.mask
        schedule, s_B = step.space.schedule, step.point(Between()).t_B
        gamma_B = dsm_weight(self.dsm_weighting, schedule.alpha(s_B), schedule.sigma(s_B))
        pull_B = dsm_loss(f_psi, f_phi, mask, gamma_B)
        loss_B = dsm_loss(f_psi, step.e_fake, mask, gamma_B) + self.pull * pull_B
        return Term(loss_B, {"teacher_pull": pull_B.detach()})

    def observe(self, role: Role, means: Mapping[str, Tensor]) -> Mapping[str, float | Tensor]:
        """Log ψ's lag behind the place where its loss is least, which is not E[e | z_s] here."""
        logged = super().observe(role, means)
        if not logged:
            return {}
        lag = (torch.as_tensor(logged["estimator_lag"]) + self.pull) / (1 + self.pull)
        return {"estimator_lag": torch.where(means["gap_weighted"] == 0, 0.0, lag)}
