"""What enters the means of the losses: the generated entries of each sample, and no others."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlmone.core.step.losses import (
    diff_instruct_loss,
    dsm_loss,
    dsm_weight,
    masked_mean,
    score_weight,
    sid_loss,
)

from .draws import SHAPE, SQRT, TIMES, Draw, seeds


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
