"""plugins/diffusion_gan/heads: what discriminator heads read, and in which precision."""

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Denoised
from dlmone.core.step.losses import adversarial_loss
from dlmone.plugins.diffusion_gan.heads import HEADS, LinearHead, TokenMean, logits_of

B, N, H = 6, 5, 16


@pytest.fixture
def features_BNH() -> Tensor:
    return torch.randn(B, N, H, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask_BN() -> Tensor:
    """The first two positions are given; of the first sample all but the last."""
    mask_BN = torch.arange(N).expand(B, -1) >= 2
    return mask_BN.index_fill(0, torch.tensor([0]), False) | (torch.arange(N) == N - 1)


def test_token_mean_is_the_mean_of_the_generated_positions(features_BNH: Tensor, mask_BN: Tensor) -> None:
    logits_BK = TokenMean(H)(features_BNH, mask_BN)
    torch.testing.assert_close(logits_BK[0], features_BNH[0, -1])
    torch.testing.assert_close(logits_BK[1], features_BNH[1, 2:].mean(0))
    assert logits_BK.shape == (B, H)
    assert not list(TokenMean(H).parameters())


def test_the_linear_head_starts_undecided_and_learns(features_BNH: Tensor, mask_BN: Tensor) -> None:
    head = LinearHead(H)
    logits_B1 = head(features_BNH, mask_BN)
    assert logits_B1.shape == (B, 1)
    assert not logits_B1.any()
    adversarial_loss(logits_B1, real=True).mean().backward()
    assert head.linear.weight.grad is not None
    assert head.linear.weight.grad.abs().min() > 0


@pytest.mark.parametrize("head", HEADS)
def test_no_head_reads_given_positions(head: str, features_BNH: Tensor, mask_BN: Tensor) -> None:
    module = HEADS[head](H)
    nn.init.normal_(module.linear.weight) if head == "linear" else None
    features_BNH.requires_grad_()
    (slope_BNH,) = torch.autograd.grad(module(features_BNH, mask_BN).square().sum(), features_BNH)
    assert torch.equal(slope_BNH.abs().sum(2) > 0, mask_BN)


@pytest.mark.parametrize("head", HEADS)
def test_logits_leave_half_precision_even_under_autocast(head: str) -> None:
    hidden_BNH = torch.ones(B, N, H, dtype=torch.bfloat16)
    answer = Denoised(torch.zeros(B), hidden_BNH, torch.ones(B, N, dtype=torch.bool))
    with torch.autocast("cpu", torch.bfloat16):
        assert logits_of(HEADS[head](H), answer, -1).dtype == torch.float32


def test_another_layer_than_the_last_is_read_where_it_is_asked_for(mask_BN: Tensor) -> None:
    last_BNH, first_BNH = torch.zeros(B, N, H), torch.ones(B, N, H)
    answer = Denoised(torch.zeros(B), last_BNH, mask_BN, layers={0: first_BNH})
    assert torch.equal(logits_of(TokenMean(H), answer, 0), torch.ones(B, H))
    assert torch.equal(logits_of(TokenMean(H), answer, -1), torch.zeros(B, H))
