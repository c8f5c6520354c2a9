"""DMD2's term: its gradient, its times, and that ψ learns at all of them."""

import pytest
import torch
from pydantic import ValidationError

from dlmone.core import ESTIMATOR, TEACHER, Noised, QuantileTimes, Request, StepContext
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.plugins.diff_instruct.objective import DMD2
from dlmone.plugins.diff_instruct.options import DMD2Options
from dlmone.testing import ToyTeacher, new_step

TIMES = QuantileTimes(0.02, 0.98)


def step_of(toy: ToyTeacher, role: Role, objective: DMD2) -> StepContext:
    return new_step(toy, role, objective.requests(role))


def test_the_gradient_is_that_of_the_published_loss(toy: ToyTeacher) -> None:
    """½·mean (e − sg(e − g))² with g = (f_ψ − f_φ)/mean|e − f_φ|, DMD2's form."""
    objective = DMD2(DMD2Options())
    step = step_of(toy, "generator", objective)
    (slope,) = torch.autograd.grad(objective.generator_loss(step).loss_B.sum(), step.e_fake)
    f_phi, f_psi = (step[Request(network, Noised(times=TIMES))].x0 for network in (TEACHER, ESTIMATOR))
    e = step.e_fake.detach().requires_grad_()
    distance_B = masked_mean((e - f_phi).abs(), step.mask).detach()
    g = (f_psi - f_phi).detach() / distance_B[:, None, None]
    published = 0.5 * masked_mean((e - (e - g).detach()) ** 2, step.mask).sum()
    torch.testing.assert_close(slope, torch.autograd.grad(published, e)[0])
    assert slope.abs().max() > 1e-3


def test_theta_has_times_of_its_own_and_psi_the_stages(toy: ToyTeacher) -> None:
    objective = DMD2(DMD2Options(low=0.4, high=0.5))
    step, schedule = step_of(toy, "generator", objective), toy.space.schedule
    point = step.point(objective.phi.state)
    low, high = (schedule.time_of_quantile(quantile) for quantile in (0.4, 0.5))
    assert ((point.t_B >= low) & (point.t_B < high)).all()
    assert objective.psi.state == objective.phi.state, "f_φ and f_ψ are compared at one e_t"
    assert objective.requests("estimator") == (Request(ESTIMATOR, Noised()),)


@pytest.mark.parametrize("weighting", ["one", "snr"])
def test_psis_weight_is_that_of_its_own_times(toy: ToyTeacher, weighting: str) -> None:
    objective = DMD2(DMD2Options.model_validate({"dsm_weighting": weighting}))
    step = step_of(toy, "estimator", objective)
    gamma_B = (step.alpha_B / step.sigma_B) ** 2 if weighting == "snr" else torch.ones(len(step.fake))
    error_B = masked_mean((step[objective.dsm].x0 - step.e_fake) ** 2, step.mask)
    torch.testing.assert_close(objective.estimator_loss(step).loss_B, gamma_B * error_B)


def test_the_range_is_the_right_way_round() -> None:
    with pytest.raises(ValidationError, match=r"low \(0.5\) must be below high \(0.5\)"):
        DMD2Options(low=0.5, high=0.5)
