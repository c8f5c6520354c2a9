"""The weights of SiD and of denoising score matching, Eq. 2 to 4, beside their formulas."""

import pytest
import torch
from hypothesis import given, settings

from dlmone.core.step.losses import SNR_LIMIT, WEIGHT_FLOOR, dsm_loss, dsm_weight, masked_mean, score_weight

from .draws import ALPHA, SHAPE, SIGMA, Draw, seeds


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_sid_weight_is_the_prefactor_at_its_omega(seed: int) -> None:
    """ω_t = (σ⁴/α²)·C/‖e − f_φ‖₁ over the generated entries gives 1/mean|e − f_φ|."""
    x = Draw(seed)
    kept = x.mask.expand(SHAPE)
    distance_B = torch.stack([(x.e - x.f_phi)[row][kept[row]].abs().sum() for row in range(SHAPE[0])])
    omega_B = SIGMA**4 / ALPHA**2 * kept.sum((1, 2)) / distance_B
    weight_B = score_weight("sid", x.e, x.f_phi, x.mask, ALPHA, SIGMA)
    torch.testing.assert_close(weight_B, omega_B * ALPHA**2 / SIGMA**4, rtol=1e-12, atol=0)


def test_the_other_weights() -> None:
    x = Draw(0)
    weights = {
        name: score_weight(name, x.e, x.f_phi, x.mask, ALPHA, SIGMA) for name in ("one", "score", "snr")
    }
    torch.testing.assert_close(weights["one"], torch.ones_like(ALPHA))
    torch.testing.assert_close(weights["score"], ALPHA**2 / SIGMA**4)
    torch.testing.assert_close(weights["snr"], ALPHA**2 / SIGMA**2)


@pytest.mark.parametrize("weighting", ["sid", "one", "score", "snr"])
def test_a_weight_has_no_gradient_and_the_dtype_of_the_state(weighting: str) -> None:
    x = Draw(0)
    e, f_phi = (value.float().requires_grad_() for value in (x.e, x.f_phi))
    weight_B = score_weight(weighting, e, f_phi, x.mask, ALPHA, SIGMA)
    assert weight_B.dtype == torch.float32
    assert not weight_B.requires_grad


def test_the_sid_weight_has_a_floor() -> None:
    e = torch.ones(2, 3, dtype=torch.float64)
    f_phi = torch.stack([torch.ones(3), torch.ones(3) + 1e-3]).double()
    weight_B = score_weight("sid", e, f_phi, torch.ones(2, 3, dtype=torch.bool), ALPHA[:2], SIGMA[:2])
    assert weight_B[0].item() == pytest.approx(1 / WEIGHT_FLOOR)
    assert weight_B[1].item() == pytest.approx(1e3, rel=1e-3)
    assert WEIGHT_FLOOR == 1e-5


def test_dsm_weights() -> None:
    snr_B = (ALPHA / SIGMA) ** 2
    torch.testing.assert_close(dsm_weight("one", ALPHA, SIGMA), torch.ones_like(ALPHA))
    torch.testing.assert_close(dsm_weight("snr", ALPHA, SIGMA), snr_B)
    torch.testing.assert_close(dsm_weight("min_snr", ALPHA, SIGMA), snr_B.clamp(max=SNR_LIMIT))
    assert snr_B[0].item() == pytest.approx(67.3, abs=0.1), "enormous where the noise is small"
    assert snr_B[0] > SNR_LIMIT > snr_B[2]


def test_dsm_at_weight_snr_is_the_epsilon_error() -> None:
    """ε̂ = (e_t − α·f_ψ)/σ, so |ε̂ − ε|² = (α/σ)²·|f_ψ − e|²."""
    x = Draw(1)
    epsilon = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    alpha, sigma = ALPHA.view(-1, 1, 1), SIGMA.view(-1, 1, 1)
    predicted = (alpha * x.e + sigma * epsilon - alpha * x.f_psi) / sigma
    loss_B = dsm_loss(x.f_psi, x.e, x.mask, dsm_weight("snr", ALPHA, SIGMA))
    torch.testing.assert_close(loss_B, masked_mean((predicted - epsilon) ** 2, x.mask))
