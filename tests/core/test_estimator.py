"""core/estimator: discriminator heads, and what they read."""

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser, DiffusionScoreEstimator, InputError
from dlmone.core.estimator import HEADS, LinearHead, TokenMean
from dlmone.core.losses import adversarial_loss
from dlmone.testing import ToyTeacher, Watched
from dlmone.testing.toy import EXAMPLES

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


def test_an_unknown_head_is_refused_with_the_known_ones(toy: ToyTeacher) -> None:
    with pytest.raises(InputError, match="no discriminator head 'conv'; there are token_mean, linear"):
        toy.new_score_estimator("conv")


def test_logits_come_with_the_denoised_state_from_one_pass(toy: ToyTeacher) -> None:
    network = Watched(toy.network)
    estimator = DiffusionScoreEstimator(network, toy.feature_width)
    batch, e_t, t_B = noisy(toy)
    plain, full = estimator.estimate(e_t, t_B, batch), estimator.estimate(e_t, t_B, batch, logits=True)
    assert [call.features for call in network.calls] == [False, True]
    assert plain.logits_BK is None
    assert torch.equal(plain.x0, full.x0)
    features = toy.network.denoise(e_t, t_B, batch, features=True).features_BNH
    assert features is not None
    assert full.logits_BK is not None
    torch.testing.assert_close(full.logits_BK, TokenMean(0)(features, batch.target_BL))


@pytest.mark.parametrize("head", HEADS)
def test_logits_leave_half_precision_even_under_autocast(toy: ToyTeacher, head: str) -> None:
    class Half(Denoiser):
        def denoise(
            self,
            e_t: Tensor,
            t_B: Tensor,
            batch: Batch,
            *,
            features: bool = False,
            previous: Tensor | None = None,
        ) -> Denoised:
            hidden_BNH = torch.ones(len(batch), 3, H, dtype=torch.bfloat16)
            return Denoised(e_t, hidden_BNH, torch.ones(len(batch), 3, dtype=torch.bool))

    batch, e_t, t_B = noisy(toy)
    with torch.autocast("cpu", torch.bfloat16):
        logits_BK = DiffusionScoreEstimator(Half(), H, head).estimate(e_t, t_B, batch, logits=True).logits_BK
    assert logits_BK is not None
    assert logits_BK.dtype == torch.float32


def noisy(toy: ToyTeacher) -> tuple[Batch, Tensor, Tensor]:
    batch = toy.space.collate(EXAMPLES)
    return batch, toy.space.embed(batch) + 0.5, toy.space.schedule.tensor(700, len(batch))
