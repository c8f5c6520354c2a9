"""Score distillation sampling (SDS; Poole et al. 2023, DreamFusion), for one-step generators."""

import math
from collections.abc import Sequence

from dlmone.core import TEACHER, InputError, Noised, NoiseSchedule, Objective, Request, StepContext, Term
from dlmone.core.step.losses import masked_mean, score_weight
from dlmone.core.step.request import Role

from .options import SDSOptions


class ScoreDistillationSampling(Objective):
    """Pull θ's output to φ's prediction from its noised version: w·½‖e − sg(ê_φ(e_t))‖².

    This is Diff-Instruct with e instead of ê_ψ. Without the generator's own score nothing keeps outputs
    diverse, so it trades coverage for fidelity. An output between two sentences is pulled to one of them,
    which corrects a typical error of students trained by regression. It costs one pass of φ, which it shares
    with SiD.
    """

    def __init__(self, options: SDSOptions) -> None:
        self.options = options
        self.phi = Request(TEACHER, Noised())

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.phi,) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        e, f_phi, mask = step.e_fake, step[self.phi].x0, step.mask
        target = step.space.round(f_phi) if self.options.rounding else f_phi
        low, high = self._range(step.space.schedule)
        within_B = (step.t_B >= low) & (step.t_B < high)
        weight_B = score_weight(
            self.options.weighting, e, f_phi, mask, step.alpha_B, step.sigma_B
        ) * within_B.to(e.dtype)
        return Term(0.5 * weight_B * masked_mean((e - target) ** 2, mask), {})

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        low, high = self._range(schedule)
        if low >= high:
            raise InputError(f"t_min: {low:g} must be below t_max, {high:g}")

    def _range(self, schedule: NoiseSchedule) -> tuple[float, float]:
        """Return the range of times [low, high) of the samples that the loss includes."""
        t_min, t_max = self.options.t_min, self.options.t_max
        low = t_min.on(schedule, "t_min") if t_min is not None else -math.inf
        return low, t_max.on(schedule, "t_max") if t_max is not None else math.inf
