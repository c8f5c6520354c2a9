"""Eq. 2 to 6 as algebra, and what enters the means."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.step.losses import (
    LOGIT_LIMIT,
    SNR_LIMIT,
    WEIGHT_FLOOR,
    adversarial_loss,
    diff_instruct_loss,
    dsm_loss,
    dsm_weight,
    estimator_lag,
    masked_mean,
    score_weight,
    sid_loss,
)

SQRT = discrete_schedule("sqrt", 2000)
TIMES = torch.tensor([0, 400, 1490, 1975])
ALPHA, SIGMA = SQRT.alpha(TIMES), SQRT.sigma(TIMES)
SHAPE = (4, 6, 3)

seeds = st.integers(0, 2**32 - 1)
mus = st.floats(-0.5, 1.5)


class Draw:
    """e, f_φ, f_ψ and a mask in which every sample generates something, from a seed."""

    def __init__(self, seed: int) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.e, self.f_phi, self.f_psi = (
            torch.randn(SHAPE, generator=draws, dtype=torch.float64) for _ in range(3)
        )
        self.mask = torch.rand(*SHAPE[:2], 1, generator=draws) < 0.5
        self.mask[:, -1] = True


def each_loss(
    e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, t_B: Tensor = TIMES
) -> dict[str, Tensor]:
    """Every loss and weight of states, [B] each."""
    alpha_B, sigma_B = SQRT.alpha(t_B), SQRT.sigma(t_B)
    weight_B = score_weight("sid", e, f_phi, mask, alpha_B, sigma_B)
    return {
        "mean": masked_mean(e, mask),
        "weight": weight_B,
        "sid": sid_loss(e, f_phi, f_psi, mask, 1.2, weight_B),
        "di": diff_instruct_loss(e, f_phi, f_psi, mask, weight_B),
        "dsm": dsm_loss(f_psi, e, mask, dsm_weight("snr", alpha_B, sigma_B)),
    }


# -- SiD, Eq. 4 ----------------------------------------------------------------------------------------


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


# -- weights -------------------------------------------------------------------------------------------


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


# -- Diff-Instruct -------------------------------------------------------------------------------------


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


# -- what enters the means -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_given_entries_never_matter_and_generated_ones_all_do(seed: int) -> None:
    x, other = Draw(seed), Draw(seed + 1)
    states = (x.e, x.f_phi, x.f_psi)
    before = each_loss(*states, x.mask)
    elsewhere = [
        torch.where(x.mask, a, b) for a, b in zip(states, (other.e, other.f_phi, other.f_psi), strict=True)
    ]
    after = each_loss(*elsewhere, x.mask)
    for name, loss_B in before.items():
        assert torch.equal(loss_B, after[name]), name

    e = x.e.clone().requires_grad_()
    for name, loss_B in each_loss(e, x.f_phi, x.f_psi, x.mask).items():
        if loss_B.requires_grad:
            (slope,) = torch.autograd.grad(loss_B.sum(), e, retain_graph=True)
            assert torch.equal(slope != 0, x.mask.expand(SHAPE)), name


@settings(deadline=None, max_examples=20)
@given(seed=seeds, order=st.permutations(range(SHAPE[0])))
def test_samples_are_independent_and_in_order(seed: int, order: list[int]) -> None:
    x = Draw(seed)
    whole = each_loss(x.e, x.f_phi, x.f_psi, x.mask)
    other = Draw(seed + 1)
    keep = torch.tensor([True, False, True, False]).view(-1, 1, 1)
    mixed = each_loss(
        *(
            torch.where(keep, getattr(x, name), getattr(other, name))
            for name in ("e", "f_phi", "f_psi", "mask")
        )
    )
    for name, loss_B in whole.items():
        assert loss_B.shape == (SHAPE[0],)
        assert torch.equal(loss_B[[0, 2]], mixed[name][[0, 2]]), name
    moved = each_loss(x.e[order], x.f_phi[order], x.f_psi[order], x.mask[order], TIMES[order])
    for name, loss_B in moved.items():
        assert torch.equal(loss_B, whole[name][order]), name


def test_the_mean_is_over_the_generated_entries_of_a_sample_padding_included() -> None:
    values = torch.tensor([[[1.0, 3.0], [5.0, 7.0], [0.0, 0.0]]])
    given_first = torch.tensor([[[False], [True], [True]]])  # the last position is [PAD], a target too
    assert masked_mean(values, given_first).tolist() == [(5 + 7 + 0 + 0) / 4]
    assert masked_mean(values, torch.zeros(1, 3, 1, dtype=torch.bool)).tolist() == [0.0]


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 1), (1, 3, 1), (2, 1, 1), (3, 1), (4,), ()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_mask_is_spread_over_the_values(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = torch.arange(24.0).view(2, 3, 4).to(dtype).requires_grad_()
    mask = torch.tensor([True, True, False, True] * 6)[: math.prod(shape)].view(shape)
    mean_B = masked_mean(values, mask)
    spread = mask.expand(2, 3, 4)
    expected = [values.detach()[i][spread[i]].mean() for i in range(2)]
    torch.testing.assert_close(mean_B, torch.stack(expected))
    assert mean_B.dtype is dtype
    mean_B.sum().backward()
    slope = spread / spread.sum((1, 2), keepdim=True)
    torch.testing.assert_close(values.grad, slope.to(dtype))


@pytest.mark.parametrize("mask", [[True, False, True], [True], True])
def test_of_one_value_a_sample_the_mean_is_the_value_or_zero(mask: list[bool] | bool) -> None:
    values, wanted = torch.tensor([1.0, 2.0, 4.0]), torch.tensor(mask)
    assert torch.equal(masked_mean(values, wanted), values * wanted)


def test_a_sample_without_generated_entries_has_the_mean_zero() -> None:
    values = torch.full((2, 3, 4), math.nan).requires_grad_()
    mean_B = masked_mean(values, torch.zeros(2, 3, 1, dtype=torch.bool))
    mean_B.sum().backward()
    assert mean_B.tolist() == [0, 0]
    assert not values.grad.any()
    assert masked_mean(values[:0], torch.ones(0, 3, 1, dtype=torch.bool)).shape == (0,)


def test_a_mask_may_tell_entries_apart() -> None:
    values = torch.tensor([[1.0, 2.0, 4.0]])
    assert masked_mean(values, torch.tensor([[True, False, True]])).tolist() == [2.5]


# -- the adversarial losses, Eq. 5 and 6 ---------------------------------------------------------------


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
