"""Score distillation sampling (SDS; Poole et al. 2023, DreamFusion), for one-step generators."""

import torch
from torch import Tensor

from dlmone.core import Needs, Objective, Route, StepContext, Term
from dlmone.core.losses import masked_mean, score_weight
from dlmone.core.objective import Role

from .options import SDSOptions


class ScoreDistillationSampling(Objective):
    """θ's output is pulled to what φ takes it for once it is noised: w·½‖e − sg(ê_φ(e_t))‖².

    Diff-Instruct with e itself in the place of ê_ψ: without the generator's own score there is nothing that
    keeps outputs apart, so it trades coverage for fidelity. What lies between two sentences is pulled to one
    of them, which is where a student trained by regression errs. It costs one pass of φ, shared with SiD.
    """

    def __init__(self, options: SDSOptions) -> None:
        self.options = options

    def needs(self, role: Role) -> Needs | None:
        return Needs(teacher=Route.DETACHED) if role == "generator" else None

    def generator_loss(self, context: StepContext) -> Term:
        e, f_phi, mask = context.e_fake, context.f_phi.detach(), context.mask
        target = context.space.round(f_phi) if self.options.rounding else f_phi
        weight_B = score_weight(
            self.options.weighting, e, f_phi, mask, context.alpha_B, context.sigma_B
        ) * self._within(context).to(e.dtype)
        return Term(0.5 * weight_B * masked_mean((e - target) ** 2, mask), {})

    def _within(self, context: StepContext) -> Tensor:
        """Return which samples take part, [B]."""
        t_B, within_B = context.t_B, torch.ones_like(context.t_B, dtype=torch.bool)
        if self.options.t_min is not None:
            within_B &= t_B >= self.options.t_min
        if self.options.t_max is not None:
            within_B &= t_B < self.options.t_max
        return within_B
