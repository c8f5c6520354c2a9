"""Regression onto deterministic samples (Luhman and Luhman 2021; a term of DMD's loss)."""

import torch
from torch import Tensor

from dlmone.core import Needs, NoiseSchedule, Objective, Start, StepContext, Term
from dlmone.core.ddim import ddim, predictor, sampling_times
from dlmone.core.losses import masked_mean
from dlmone.core.objective import Role

from .options import RegressionOptions


class Regression(Objective):
    """θ's one call shall give what several calls give from the same noise z: ‖G_θ(c, z) − e*(c, z)‖².

    e* is what φ's DDIM writes from z. It is deterministic, so there is one answer for each z and nothing is
    averaged away, as long as θ can learn the map. It needs no ψ, and stands rates that score distillation,
    whose ψ must keep up, does not.

    Or (``first`` = student) φ refines what θ wrote for z when its stage began. That θ has settled which
    sentence a z stands for, and e* is the same sentence put right: θ no longer learns another network's
    map of the noise, which errs near its borders, and only sharpens its own.
    """

    one_call_only = True

    def __init__(self, options: RegressionOptions) -> None:
        self.options = options

    def needs(self, role: Role) -> Needs | None:
        if role == "estimator":
            return None
        student_first = self.options.initial == "student"
        return Needs(start=student_first, teacher_calls=self.options.steps - student_first)

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        self._times(schedule, t_init)

    def generator_loss(self, context: StepContext) -> Term:
        return Term(masked_mean((context.e_fake - self.target(context)) ** 2, context.mask), {})

    @torch.no_grad()
    def target(self, context: StepContext) -> Tensor:
        """e*(c, z) for the z that θ was given, rounded at each call where the space rounds."""
        space, batch, options = context.space, context.fake, self.options
        schedule, predict = space.schedule, predictor(context.teacher, space, batch)
        z = context.noise.normal("z", space.state_shape)
        times = self._times(schedule, context.generator.t_init)
        if options.initial == "teacher":
            return ddim(schedule, predict, Start(times[0]).state(space, z), times)
        # θ's input is z without a signal, so z is also the noise of its answer: no division by σ_t.
        t_B = schedule.tensor(times[1], len(batch), z.device)
        return ddim(schedule, predict, schedule.diffuse(space.round(context.e_start), t_B, z), times[1:])

    def _times(self, schedule: NoiseSchedule, t_init: float) -> list[float]:
        """Return the times of the target's network calls, the student's included."""
        options = self.options
        first = t_init if options.initial == "student" else schedule.max_time
        until = options.until.on(schedule, "until") if options.until is not None else None
        return sampling_times(schedule, first, options.steps, until)
