"""Regression onto the teacher's deterministic samples (Luhman and Luhman 2021; a term of DMD's loss)."""

import torch
from torch import Tensor

from dlmone.core import Needs, Objective, Start, StepContext, Term
from dlmone.core.ddim import ddim, sampling_times
from dlmone.core.losses import masked_mean
from dlmone.core.objective import Role

from .options import RegressionOptions


class Regression(Objective):
    """θ's one call shall give what φ's DDIM gives in several from the same noise z: ‖G_θ(c, z) − e*(c, z)‖².

    DDIM is deterministic, so there is one answer for each z and nothing is averaged away, as long as θ can
    learn the map. It needs no ψ, and stands rates that score distillation, whose ψ must keep up, does not.
    """

    one_call_only = True

    def __init__(self, options: RegressionOptions) -> None:
        self.options = options

    def needs(self, role: Role) -> Needs | None:
        return Needs() if role == "generator" else None

    def generator_loss(self, context: StepContext) -> Term:
        return Term(masked_mean((context.e_fake - self.target(context)) ** 2, context.mask), {})

    @torch.no_grad()
    def target(self, context: StepContext) -> Tensor:
        """e*(c, z): what φ writes from the z that θ was given, rounded where the space rounds."""
        space, batch = context.space, context.fake
        schedule, given = space.schedule, space.embed(batch)

        def predict(x_t: Tensor, t_B: Tensor) -> Tensor:
            return space.round(context.teacher.denoise(space.pin(x_t, given, batch), t_B, batch).x0)

        times = sampling_times(schedule, schedule.last, self.options.steps, self.options.until)
        z = context.noise.normal("z", space.state_shape)
        return ddim(schedule, predict, Start(times[0]).state(space, z), times)
