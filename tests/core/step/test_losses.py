"""SiD, Eq. 4, as algebra: its other forms, the estimator's lag, and Diff-Instruct beside it."""

import pytest
import torch
from hypothesis import given, settings

from dlmone.core.step.losses import diff_instruct_loss, estimator_lag, masked_mean, score_weight, sid_loss

from .draws import ALPHA, SHAPE, SIGMA, TIMES, Draw, mus, seeds


@settings(deadline=None, max_examples=50)
@given(seed=seeds, mu=mus)
def test_sid_equals_its_other_form_and_the_papers(seed: int, mu: float) -> None:
    x = Draw(seed)
    weight_B = score_weight("score", x.e, x.f_phi, x.mask, ALPHA, SIGMA)
    loss_B = sid_loss(x.e, x.f_phi, x.f_psi, x.mask, mu, weight_B)
    d = x.f_phi - x.f_psi
    other_B = weight_B * masked_mean(d * ((x.f_phi - x.e) - mu * d), x.mask)
    torch.testing.assert_close(loss_B, other_B, rtol=1e-9, atol=1e-9)

    # As printed: scores s = (α·f − e_t)/σ², α·(f_ψ − e) = σ²·s_ψ + e_t − α·e, ω_t = 1, for any e_t.
    alpha, sigma2 = ALPHA.view(-1, 1, 1), SIGMA.view(-1, 1, 1) ** 2
    e_t = x.e + 1
    s_phi, s_psi = (alpha * x.f_phi - e_t) / sigma2, (alpha * x.f_psi - e_t) / sigma2
    gap = s_phi - s_psi
    printed = (1 - mu) * gap**2 + gap * (s_psi - (alpha * x.e - e_t) / sigma2)
    torch.testing.assert_close(loss_B, masked_mean(printed, x.mask), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_at_mu_one_the_square_is_gone(seed: int) -> None:
    x = Draw(seed)
    one_B = torch.ones(len(TIMES), dtype=torch.float64)
    expected_B = masked_mean((x.f_phi - x.f_psi) * (x.f_psi - x.e), x.mask)
    loss_B = sid_loss(x.e, x.f_phi, x.f_psi, x.mask, 1.0, one_B)
    torch.testing.assert_close(loss_B, expected_B, rtol=1e-12, atol=1e-14)


def test_sid_of_numbers_worked_out_by_hand() -> None:
    """d = 2, f_ψ − e = −0.5, μ = 0.5: ½·4 + 2·(−0.5) = 1, times the weight 3."""
    e, f_phi, f_psi = (torch.tensor([[value]]) for value in (1.5, 3.0, 1.0))
    loss_B = sid_loss(e, f_phi, f_psi, torch.tensor([[True]]), 0.5, torch.tensor([3.0]))
    assert loss_B.tolist() == [3.0]


@given(seeds, mus)
def test_sid_is_one_minus_mu_minus_lag_of_the_gap(seed: int, mu: float) -> None:
    draw = Draw(seed)
    args = draw.e, draw.f_phi, draw.f_psi, draw.mask
    gap_B, lag_B = estimator_lag(*args)
    one_B = torch.ones(len(draw.e), dtype=draw.e.dtype)
    torch.testing.assert_close(sid_loss(*args, mu, one_B), (1 - mu) * gap_B - lag_B)


@pytest.mark.parametrize(("phi", "psi"), [(0.9, 0.5), (0.5, 0.9), (0.1, 0.7), (0.9, 0.7)])
def test_the_lag_is_the_estimators_share_of_the_gap(phi: float, psi: float) -> None:
    """e and ε standard normal, e_t = e + ε: the best estimate of e is e_t/2; φ and ψ have other factors."""
    draws = torch.Generator().manual_seed(0)
    e, noise = (torch.randn(8, 200_000, generator=draws, dtype=torch.float64) for _ in range(2))
    f_phi, f_psi = phi * (e + noise), psi * (e + noise)
    gap_B, lag_B = estimator_lag(e, f_phi, f_psi, torch.ones(8, 1, dtype=torch.bool))
    assert float(lag_B.mean() / gap_B.mean()) == pytest.approx((0.5 - psi) / (phi - psi), abs=0.02)


def test_diff_instruct_is_sid_at_mu_one_without_the_paths_through_the_networks() -> None:
    x = Draw(2)
    weight_B = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    slopes = []
    for loss in (
        lambda e: diff_instruct_loss(e, x.f_phi + e, x.f_psi * e, x.mask, weight_B),
        lambda e: sid_loss(e, (x.f_phi + e).detach(), (x.f_psi * e).detach(), x.mask, 1.0, weight_B),
    ):
        e = x.e.clone().requires_grad_()
        slopes.append(torch.autograd.grad(loss(e).sum(), e)[0])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=0)
    count_B = x.mask.sum((1, 2)) * SHAPE[2]
    expected = (weight_B / count_B).view(-1, 1, 1) * (x.f_psi * x.e - x.f_phi - x.e) * x.mask
    torch.testing.assert_close(slopes[0], expected, rtol=1e-12, atol=0)
