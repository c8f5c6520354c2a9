"""Diffusion-GAN: ψ's features tell noised real states from noised generated ones (Eq. 5 and 6)."""

from torch import sigmoid

from dlmone.core import Chart, Needs, Objective, Route, StepContext, Term
from dlmone.core.losses import adversarial_loss, score_weight
from dlmone.core.objective import Role

from .options import DiffusionGANOptions


class DiffusionGAN(Objective):
    """The adversarial regularisation of section 3.2; real pairs enter ψ's update only."""

    shown = ("d_real", "d_fake")
    charts = (Chart("D(real) and D(generated)", shown, span=(0.4, 0.6)),)

    def __init__(self, options: DiffusionGANOptions) -> None:
        self.options = options

    def needs(self, role: Role) -> Needs:
        if role == "estimator":
            return Needs(fake_logits=True, real_logits=True)
        teacher = Route.DETACHED if self.options.over_weight else Route.ABSENT
        return Needs(teacher=teacher, fake_logits=True)

    def generator_loss(self, context: StepContext) -> Term:
        loss_B = adversarial_loss(context.fake_logits, real=True)
        if self.options.over_weight:
            e, f_phi, mask = context.e_fake, context.f_phi, context.mask
            loss_B = loss_B * score_weight("sid", e, f_phi, mask, context.alpha_B, context.sigma_B)
        return Term(loss_B, {})

    def estimator_loss(self, context: StepContext) -> Term:
        real, fake = context.real_logits, context.fake_logits
        loss_B = (adversarial_loss(real, real=True) + adversarial_loss(fake, real=False)) / 2
        logged = {"d_real": sigmoid(real).mean(1).detach(), "d_fake": sigmoid(fake).mean(1).detach()}
        return Term(loss_B, logged)
