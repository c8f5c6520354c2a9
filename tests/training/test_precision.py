"""Under bfloat16 θ's update still sees f_φ − f_ψ, whatever little ψ has moved: error below 5 %."""

from contextlib import nullcontext
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    TEACHER,
    Denoiser,
    Noised,
    Request,
    ScoreEstimator,
    StepContext,
    Term,
)
from dlmone.core.step.losses import score_weight, sid_loss
from dlmone.core.step.request import Role
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.plugins.tokenizers.words import words
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing.toy import EXAMPLES
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.updates.update import Update

HALF = Compute(torch.device("cpu"), bfloat16=True, world=World())
MU = 1.2
WORDS = sorted({word for one in EXAMPLES for word in f"{one.source} {one.target}".split()})
STAGE = Stage.model_validate(
    {
        "steps": 10,
        "batch": 4,
        "t_init": 1490,
        "t_max": 1976,
        "generator": {"lr": 1e-5},
        "estimator": {"lr": 1e-5},
        "generator_dropout": False,
        "objectives": {"score": {"use": "sid"}},
    }
)


def watch(module: nn.Module, seen: set[torch.dtype]) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda _, __, output: seen.add(output.dtype))


class Seen(SiD):
    """SiD that keeps what θ's update gave it."""

    context: StepContext

    def generator_loss(self, context: StepContext) -> Term:
        self.context = context
        return super().generator_loss(context)


def one_update(objective: Seen | None = None) -> tuple[Distillation, StepContext]:
    """Move ψ once away from φ, at the paper's rate, and return what θ's update then read."""
    torch.manual_seed(0)
    options = DiffuSeqOptions(
        seq_len=12,
        hidden_dim=16,
        hidden_t_dim=16,
        width=64,
        layers=3,
        heads=4,
        dropout=0.0,
        attention_dropout=0.0,
    )
    tokenizer = Tokenizer(words(WORDS))
    seen = objective or Seen(SiDOptions(mu=MU))
    teacher = DiffuSeqTeacher(options, tokenizer, len(WORDS) + 10)
    trained = Distillation(
        "stage-1", STAGE, teacher, {"score": seen}, TokenizedExamples(teacher.space, EXAMPLES), HALF, 0
    )
    trained.advance(norms=False)
    return trained, seen.context


def errors(trained: Distillation, context: StepContext) -> tuple[float, float]:
    """Return the relative errors of d and of SiD's gradient at e, against float32 all through."""
    batch, mask = context.fake, context.mask
    e = context.e_fake.detach().requires_grad_()
    noise = context.noise.normal("epsilon", context.space.state_shape)
    e_t = context.space.pin(
        context.space.schedule.diffuse(e, context.t_B, noise), context.space.embed(batch), batch
    )
    phi, psi = cast(Denoiser, trained.networks[TEACHER]), trained.beside.modules[ESTIMATOR]
    f_phi = phi.denoise(e_t, context.t_B, batch).x0
    f_psi = cast(ScoreEstimator, psi).estimate(e_t, context.t_B, batch).x0
    weight_B = score_weight("sid", e, f_phi, mask, context.alpha_B, context.sigma_B)
    (slope,) = torch.autograd.grad(sid_loss(e, f_phi, f_psi, mask, MU, weight_B).mean(), e)
    got = context.e_fake.grad
    assert got is not None
    d = context[Request(TEACHER, Noised())].x0 - context[Request(ESTIMATOR, Noised())].x0
    return relative(d, (f_phi - f_psi).detach(), mask), relative(got, slope, mask)


def relative(got: Tensor, expected: Tensor, mask: Tensor) -> float:
    return float(((got - expected) * mask).norm() / (expected * mask).norm())


def test_the_difference_and_its_gradient_are_float32_after_one_update() -> None:
    assert max(errors(*one_update())) < 1e-3


def test_autocast_would_bury_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepContext, "_precision", lambda *_: nullcontext())
    assert min(errors(*one_update())) > 0.3


def test_a_backward_pass_within_autocast_would_blur_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Update.accumulate

    def accumulate(*args: Any) -> Tensor:
        with HALF.autocast():
            return inner(*args)

    monkeypatch.setattr(Update, "accumulate", accumulate)
    of_d, of_gradient = errors(*one_update())
    assert of_d < 1e-3
    assert of_gradient > 1e-2


def test_a_rounded_teacher_would_bury_them() -> None:
    """As a φ that is stored in bfloat16 is, in whatever precision its products are."""
    trained, context = one_update()
    for part in trained.networks[TEACHER].modules():
        if isinstance(part, nn.Linear):
            part.weight.data = part.weight.data.bfloat16().float()
    assert min(errors(trained, context)) > 0.3


def test_other_passes_keep_autocast() -> None:
    dtypes = {name: set[torch.dtype]() for name in ("generator", "estimator")}

    class Watched(Seen):
        def estimator_loss(self, context: StepContext) -> Term:
            watch(context.networks[ESTIMATOR], dtypes["estimator"])
            watch(context.generator, dtypes["generator"])
            return super().estimator_loss(context)

    one_update(Watched(SiDOptions(mu=MU)))
    assert all(torch.bfloat16 in seen for seen in dtypes.values())


@pytest.mark.parametrize("role", ["generator", "estimator"])
def test_float32_products_are_ieee_in_every_pass_and_the_callers_setting_returns(role: Role) -> None:
    settings: list[str] = []

    class Watched(Seen):
        def generator_loss(self, context: StepContext) -> Term:
            return self.watched(super().generator_loss(context), "generator")

        def estimator_loss(self, context: StepContext) -> Term:
            return self.watched(super().estimator_loss(context), "estimator")

        def watched(self, term: Term, here: Role) -> Term:
            if here == role:
                settings.append(torch.get_float32_matmul_precision())
                term.loss_B.register_hook(lambda _: settings.append(torch.get_float32_matmul_precision()))
            return term

    torch.set_float32_matmul_precision("high")
    try:
        one_update(Watched(SiDOptions(mu=MU)))
        assert settings == ["highest", "highest"]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
