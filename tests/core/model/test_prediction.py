"""The four kinds of prediction are one x0, whatever the schedule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlmone.core import FlowSchedule, NoiseSchedule
from dlmone.core.model.prediction import Prediction, to_x0
from dlmone.core.model.schedule import discrete_schedule

SQRT = discrete_schedule("sqrt", 2000)
KINDS: list[Prediction] = ["x0", "epsilon", "v", "flow"]


@st.composite
def noisy_states(draw: st.DrawFn) -> tuple[NoiseSchedule, Tensor, Tensor, Tensor]:
    """A schedule, times [B], clean states and noise [B, 3, 2] in float64."""
    if draw(st.booleans()):
        schedule: NoiseSchedule = SQRT
        times = draw(st.lists(st.integers(0, 1999), min_size=1, max_size=4))
        t_B = torch.tensor(times)
    else:
        schedule = FlowSchedule()
        times = draw(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4))
        t_B = torch.tensor(times, dtype=torch.float64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    clean, noise = (torch.randn(len(times), 3, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    return schedule, t_B, clean, noise


def targets(clean: Tensor, noise: Tensor, alpha_B: Tensor, sigma_B: Tensor) -> dict[Prediction, Tensor]:
    """What networks of each kind are trained to predict, by definition."""
    alpha, sigma = (values_B.view(-1, *[1] * (clean.dim() - 1)) for values_B in (alpha_B, sigma_B))
    return {"x0": clean, "epsilon": noise, "v": alpha * noise - sigma * clean, "flow": noise - clean}


@settings(deadline=None)
@given(noisy_states())
def test_every_kind_of_true_target_is_the_clean_state(
    case: tuple[NoiseSchedule, Tensor, Tensor, Tensor],
) -> None:
    schedule, t_B, clean, noise = case
    alpha_B, sigma_B = schedule.alpha(t_B), schedule.sigma(t_B)
    e_t = schedule.diffuse(clean, t_B, noise)
    for kind, output in targets(clean, noise, alpha_B, sigma_B).items():
        # Dividing by α ≥ 0.00045 loses at most four of sixteen digits.
        torch.testing.assert_close(to_x0(kind, output, e_t, alpha_B, sigma_B), clean, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["v", "flow"])
def test_pure_noise_is_no_singularity(kind: Prediction) -> None:
    """At α = 0 (flow matching's start) v and flow still determine x0."""
    clean, noise = torch.randn(1, 4), torch.randn(1, 4)
    alpha_B, sigma_B = torch.zeros(1), torch.ones(1)
    output = targets(clean, noise, alpha_B, sigma_B)[kind]
    torch.testing.assert_close(to_x0(kind, output, noise, alpha_B, sigma_B), clean)


@pytest.mark.parametrize("kind", KINDS)
def test_conversions_keep_the_dtype_and_compute_in_float64(kind: Prediction) -> None:
    """At t = 1976 (α = 0.076) x0 is as exact as a float32 prediction allows."""
    t_B = torch.tensor([1976])
    alpha_B, sigma_B = SQRT.alpha(t_B), SQRT.sigma(t_B)
    clean, noise = torch.randn(1, 100), torch.randn(1, 100)
    e_t = SQRT.diffuse(clean.double(), t_B, noise.double()).float()
    output = targets(clean.double(), noise.double(), alpha_B, sigma_B)[kind].float()
    x0 = to_x0(kind, output, e_t, alpha_B, sigma_B)
    assert x0.dtype == torch.float32
    torch.testing.assert_close(x0, clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_x0_is_differentiable_in_the_output(kind: Prediction) -> None:
    output = torch.randn(2, 3, requires_grad=True)
    to_x0(kind, output, torch.randn(2, 3), torch.full((2,), 0.6), torch.full((2,), 0.8)).sum().backward()
    assert output.grad is not None
    assert (output.grad != 0).all()
