"""core/prediction.py: the four kinds of prediction are one x0, whatever the schedule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmone.core import FlowSchedule, NoiseSchedule
from dlmone.core.prediction import Prediction, from_x0, to_x0
from dlmone.core.schedule import discrete_schedule

SQRT = discrete_schedule("sqrt", 2000)
KINDS: list[Prediction] = ["x0", "epsilon", "v", "flow"]


@st.composite
def noisy_states(draw: st.DrawFn) -> tuple[NoiseSchedule, torch.Tensor, torch.Tensor, torch.Tensor]:
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


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(noisy_states())
def test_round_trip_is_the_identity(
    kind: Prediction, case: tuple[NoiseSchedule, torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    schedule, t_B, clean, noise = case
    alpha_B, sigma_B = schedule.alpha(t_B), schedule.sigma(t_B)
    e_t = schedule.diffuse(clean, t_B, noise)
    output = from_x0(kind, clean, e_t, alpha_B, sigma_B)
    torch.testing.assert_close(to_x0(kind, output, e_t, alpha_B, sigma_B), clean, rtol=0, atol=1e-8)


@settings(deadline=None)
@given(noisy_states())
def test_the_true_targets_are_named_by_their_definitions(
    case: tuple[NoiseSchedule, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    schedule, t_B, clean, noise = case
    alpha_B, sigma_B = schedule.alpha(t_B), schedule.sigma(t_B)
    alpha, sigma = alpha_B[:, None, None], sigma_B[:, None, None]
    e_t = schedule.diffuse(clean, t_B, noise)
    targets = {"x0": clean, "epsilon": noise, "v": alpha * noise - sigma * clean, "flow": noise - clean}
    for kind in KINDS:
        # Dividing by σ ≥ 0.001 loses at most three of sixteen digits.
        answer = from_x0(kind, clean, e_t, alpha_B, sigma_B)
        torch.testing.assert_close(answer, targets[kind], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["v", "flow"])
def test_pure_noise_is_no_singularity(kind: Prediction) -> None:
    """At α = 0 (flow matching's start) v and flow still determine x0."""
    clean, noise = torch.randn(1, 4), torch.randn(1, 4)
    alpha_B, sigma_B = torch.zeros(1), torch.ones(1)
    output = from_x0(kind, clean, noise, alpha_B, sigma_B)
    torch.testing.assert_close(to_x0(kind, output, noise, alpha_B, sigma_B), clean)


@pytest.mark.parametrize("kind", KINDS)
def test_conversions_keep_the_dtype_and_compute_in_float64(kind: Prediction) -> None:
    """At t = 1976 (α = 0.076) a float32 round trip is as exact as float32 can store."""
    t_B = torch.tensor([1976])
    alpha_B, sigma_B = SQRT.alpha(t_B), SQRT.sigma(t_B)
    clean, noise = torch.randn(1, 100), torch.randn(1, 100)
    e_t = SQRT.diffuse(clean, t_B, noise)
    output = from_x0(kind, clean, e_t, alpha_B, sigma_B)
    assert output.dtype == torch.float32
    torch.testing.assert_close(to_x0(kind, output, e_t, alpha_B, sigma_B), clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_x0_is_differentiable_in_the_output(kind: Prediction) -> None:
    output = torch.randn(2, 3, requires_grad=True)
    to_x0(kind, output, torch.randn(2, 3), torch.full((2,), 0.6), torch.full((2,), 0.8)).sum().backward()
    assert output.grad is not None
    assert (output.grad != 0).all()
