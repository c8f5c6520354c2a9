"""The adversarial losses, Eq. 5 and 6: torch's cross entropy, clamped, and what minimising them does."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dlmone.core.step.losses import LOGIT_LIMIT, adversarial_loss


def test_cross_entropy_is_torchs_and_a_mean_over_logits() -> None:
    logits_BK = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    for real in (True, False):
        expected = nn.functional.binary_cross_entropy_with_logits(
            logits_BK, torch.full_like(logits_BK, float(real)), reduction="none"
        ).mean(1)
        torch.testing.assert_close(adversarial_loss(logits_BK, real=real), expected)


def test_logits_are_clamped() -> None:
    logits_BK = torch.tensor([[-50.0], [-LOGIT_LIMIT], [LOGIT_LIMIT], [50.0]], requires_grad=True)
    loss_B = adversarial_loss(logits_BK, real=True)
    low, high = math.log1p(math.exp(10)), math.log1p(math.exp(-10))
    assert LOGIT_LIMIT == 10
    assert loss_B.tolist() == pytest.approx([low, low, high, high])
    loss_B.sum().backward()
    assert logits_BK.grad is not None
    assert logits_BK.grad[[0, 3]].tolist() == [[0.0], [0.0]]


def descend(loss: Callable[[], Tensor], parameters: list[Tensor], steps: int = 200) -> None:
    optimiser = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def test_minimising_eq_5_tells_real_from_fake_and_eq_6_deceives() -> None:
    draws = torch.Generator().manual_seed(0)
    real, fake = torch.randn(200, 2, generator=draws) + 2, torch.randn(200, 2, generator=draws) - 2
    discriminator = nn.Linear(2, 1)
    nn.init.zeros_(discriminator.weight)

    def eq_5() -> Tensor:
        on_real, on_fake = (adversarial_loss(discriminator(x), real=x is real).mean() for x in (real, fake))
        return (on_real + on_fake) / 2

    def accuracy() -> float:
        right = torch.cat([discriminator(real) > 0, discriminator(fake) < 0])
        return right.float().mean().item()

    descend(eq_5, list(discriminator.parameters()))
    assert accuracy() > 0.99

    shift = torch.zeros(2, requires_grad=True)
    before = discriminator(fake).mean().item()
    descend(lambda: adversarial_loss(discriminator(fake + shift), real=True).mean(), [shift])
    assert before < -2
    assert discriminator(fake + shift).mean() > 0
    assert (shift > 0).all(), "towards the real ones"
