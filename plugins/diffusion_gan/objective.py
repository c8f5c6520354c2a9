"""Define Diffusion-GAN: ψ's features discriminate noised real from noised generated states (Eq. 5 and 6)."""

from collections.abc import Sequence

import torch
from torch import Tensor, sigmoid

from dlmone.core import (
    ESTIMATOR,
    TEACHER,
    Auxiliary,
    Chart,
    Gradient,
    Noised,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.step.losses import adversarial_loss, score_weight
from dlmone.core.step.request import Role

from .heads import HEADS, logits_of
from .options import DiffusionGANOptions


class DiffusionGAN(Objective):
    """The adversarial regularisation of section 3.2; only ψ's update uses real pairs."""

    shown = ("d_real", "d_fake")
    charts = (
        Chart("D(real) and D(generated)", shown, span=(0.4, 0.6)),
        Chart("D's accuracy", ("d_accuracy",), span=(0.4, 0.6)),
    )

    def __init__(self, options: DiffusionGANOptions) -> None:
        self.options = options
        self.head = Auxiliary("head", lambda teacher: HEADS[options.head](teacher.feature_width))
        self.auxiliaries = (self.head,)
        features = (options.layer,)
        self.fake = Request(ESTIMATOR, Noised("output"), Gradient.INPUT, features)
        self.real = Request(ESTIMATOR, Noised("real"), Gradient.PARAMETERS, features)
        self.phi = Request(TEACHER, Noised("output"))

    def requests(self, role: Role) -> Sequence[Request]:
        if role == "estimator":
            return self.fake, self.real
        return (self.fake, self.phi) if self.options.over_weight else (self.fake,)

    def logits(self, step: StepContext, request: Request) -> Tensor:
        """Return the logits of D_ψ at the state of a request, [B, K]."""
        return logits_of(step.module(self.head), step[request], self.options.layer)

    def generator_loss(self, step: StepContext) -> Term:
        loss_B = adversarial_loss(self.logits(step, self.fake), real=True)
        if self.options.over_weight:
            e, f_phi, mask = step.e_fake, step[self.phi].x0, step.mask
            loss_B = loss_B * score_weight("sid", e, f_phi, mask, step.alpha_B, step.sigma_B)
        return Term(loss_B, {})

    def estimator_loss(self, step: StepContext) -> Term:
        real, fake = self.logits(step, self.real), self.logits(step, self.fake)
        loss_B = (adversarial_loss(real, real=True) + adversarial_loss(fake, real=False)) / 2
        logged = {"d_real": sigmoid(real).mean(1).detach(), "d_fake": sigmoid(fake).mean(1).detach()}
        return Term(loss_B, {**logged, "d_accuracy": _accuracy_B(real, fake)})


def _accuracy_B(real_BK: Tensor, fake_BK: Tensor) -> Tensor:
    """Return the share of a real and a generated state that the sign of the mean logit tells right, [B]."""
    right_2B = torch.stack([real_BK.mean(1) > 0, fake_BK.mean(1) < 0])
    return right_2B.float().mean(0)
