"""plugins/langflow/schedule.py: official numbers, and the schedule contract at its own quantiles."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dlmone.core import InputError, TimePoint
from dlmone.plugins.langflow.schedule import GumbelParameters, GumbelSchedule
from dlmone.plugins.langflow.teacher import LangFlowTeacher

UPDATES = Path(__file__).parents[2] / "data" / "langflow" / "schedule_updates.json"
PARAMETERS = {"small": (2.3, 0.8, 5.1), "hub": (4.723, 0.852, 7.02)}
Official = Callable[[str], dict[str, Tensor]]


def schedule_of(name: str) -> GumbelSchedule:
    return GumbelSchedule(GumbelParameters(*PARAMETERS[name]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_schedule_is_the_official_one_in_float64(official: Official, name: str) -> None:
    wanted, schedule = official("schedule"), schedule_of(name)
    gamma = wanted[f"{name}_f64_gamma"]
    # Official parameters are float32 numbers in one case and float64 ones in the other.
    torch.testing.assert_close(schedule.gamma(wanted["q"]), gamma, rtol=0, atol=3e-7)
    ends = schedule.gamma(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ends, wanted[f"{name}_f64_range"], rtol=0, atol=3e-7)
    log_density = schedule.log_density(gamma)
    torch.testing.assert_close(log_density, wanted[f"{name}_f64_log_pdf"], rtol=1e-6, atol=1e-6)
    for quantity, found in {
        "alpha": schedule.alpha(wanted["q"]),
        "sigma": schedule.sigma(wanted["q"]),
        "sigma_over_alpha": schedule.ratio(wanted["q"]),
        "c_skip": schedule.alpha(wanted["q"]) / schedule.sigma(wanted["q"]) ** 2,
    }.items():
        torch.testing.assert_close(found, wanted[f"{name}_f64_{quantity}"], rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 8, 32, 128])
def test_the_samplers_grid_is_evenly_spaced_in_time(official: Official, steps: int) -> None:
    schedule, wanted = schedule_of("small"), official("schedule")
    times = torch.linspace(schedule.max_time, schedule.min_time, steps, dtype=torch.float64)
    torch.testing.assert_close(times.float(), wanted[f"grid{steps}_q_f32"], rtol=0, atol=1e-7)
    torch.testing.assert_close(
        schedule.gamma(times), wanted[f"grid{steps}_small_gamma_f64"], rtol=0, atol=1e-6
    )


def test_the_fit_of_the_schedule_takes_the_official_updates() -> None:
    recorded = json.loads(UPDATES.read_text())
    parameters = GumbelParameters(*recorded["start"].values())
    schedule = GumbelSchedule(parameters)
    adam = torch.optim.AdamW(parameters.parameters(), lr=1e-2, betas=(0.9, 0.999), weight_decay=0)
    for update in recorded["updates"]:
        gamma_B = schedule.gamma(torch.tensor(update["q"], dtype=torch.float64)).float()
        torch.testing.assert_close(gamma_B, torch.tensor(update["gamma"]), rtol=0, atol=1e-5)
        surrogate_B = parameters.surrogate_entropy(gamma_B)
        torch.testing.assert_close(surrogate_B, torch.tensor(update["surrogate_entropy"]), rtol=0, atol=1e-5)
        loss = ((torch.tensor(update["ce"]) - surrogate_B) ** 2).mean()
        assert loss.item() == pytest.approx(update["loss"], abs=1e-5)
        adam.zero_grad()
        loss.backward()
        for name, parameter in parameters.named_parameters():
            assert parameter.grad is not None
            assert parameter.grad.item() == pytest.approx(update["grad"][name], abs=1e-5)
        adam.step()
        for name, parameter in parameters.named_parameters():
            assert parameter.item() == pytest.approx(update["after"][name], abs=1e-6)


def test_time_is_the_quantile_and_inverts() -> None:
    schedule = schedule_of("hub")
    q = torch.tensor([1e-5, 0.1, 0.5, 0.9, 1 - 1e-5], dtype=torch.float64)
    torch.testing.assert_close(schedule.time_of_gamma(schedule.gamma(q)), q, rtol=1e-12, atol=0)
    assert schedule.time_of_quantile(0.5) == pytest.approx(0.5, abs=1e-12)
    ratio = float(schedule.ratio(q[3]))
    assert schedule.time_of_ratio(ratio) == pytest.approx(0.9, rel=1e-12)
    assert float(schedule.sigma(q[3]) ** 2 + schedule.alpha(q[3]) ** 2) == pytest.approx(1, abs=1e-12)


def test_uniform_times_make_gammas_of_the_schedules_density() -> None:
    schedule = schedule_of("hub")
    q = torch.linspace(0.001, 0.999, 20_001, dtype=torch.float64)
    gamma = schedule.gamma(q)
    # dq/dγ is the density.
    slope = (q[2:] - q[:-2]) / (gamma[2:] - gamma[:-2])
    torch.testing.assert_close(slope, schedule.log_density(gamma[1:-1]).exp(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("ratio", [2.5, 5000])
def test_ratios_outside_the_trained_range_are_refused_with_it(ratio: float) -> None:
    schedule = schedule_of("hub")
    ends = torch.tensor([1e-5, 1 - 1e-5], dtype=torch.float64)
    low, high = (schedule.gamma(ends) / 2).exp().tolist()
    with pytest.raises(InputError, match=rf"t_init: σ/α = {ratio:g} .* from {low:.4g} to {high:.4g}"):
        schedule.resolve(TimePoint(ratio=ratio), "t_init")
    assert schedule.resolve(TimePoint(ratio=12.4)) == pytest.approx(0.5, abs=1e-3)


def test_the_schedule_moves_with_its_parameters_and_no_gradient_reaches_them_through_it() -> None:
    schedule = schedule_of("hub")
    q = torch.tensor([0.5], dtype=torch.float64)
    before = schedule.gamma(q)
    assert not before.requires_grad
    with torch.no_grad():
        schedule.parameters.loc += 1
    torch.testing.assert_close(schedule.gamma(q), before + 1, rtol=0, atol=1e-6)


def test_a_copied_teacher_has_a_schedule_of_its_own(small: LangFlowTeacher) -> None:
    q = torch.tensor([0.5], dtype=torch.float64)
    before = small.space.schedule.gamma(q)
    other = copy.deepcopy(small)
    with torch.no_grad():
        other.space.proposal.loc += 1
    assert torch.equal(small.space.schedule.gamma(q), before)
    torch.testing.assert_close(other.space.schedule.gamma(q), before + 1, rtol=0, atol=1e-6)
    assert other.network.space is other.space
    # A copy of the network alone is a student's: it shares the teacher's space.
    assert copy.deepcopy(small.network).space is small.space
    learned = {f"space.proposal.{name}" for name in ("loc", "scale", "entropy")}
    assert learned <= small.state_dict().keys()
