"""Moment matching: by hand on the toy, its states, and the student of Gaussian data."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    TEACHER,
    Batch,
    Denoised,
    Denoiser,
    DiffusionScoreEstimator,
    ScoreEstimator,
    StepContext,
)
from dlmone.core.model.schedule import discrete_schedule, expand
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.renoise import renoising_times
from dlmone.core.step.request import Role
from dlmone.plugins.moment_matching.objective import Between, MomentMatching, interval
from dlmone.plugins.moment_matching.options import MomentMatchingOptions
from dlmone.testing import ToyOptions, ToyTeacher, new_step, toy_teacher
from dlmone.testing.known import gaussian_x0
from dlmone.testing.oracle import AffineStudent, distil_gaussian

SCHEDULE = discrete_schedule("sqrt", 2000)
MEAN, STD = 1.5, 0.7


def objective_of(**options: Any) -> MomentMatching:
    return MomentMatching(MomentMatchingOptions.model_validate(options))


def step_of(toy: ToyTeacher, role: Role, objective: MomentMatching, **options: Any) -> StepContext:
    return new_step(toy, role, objective.requests(role), **options)


def predictions(step: StepContext) -> tuple[Tensor, Tensor]:
    """f_φ and f_ψ at z_s, called outside the step."""
    point = step.point(Between())
    phi = cast(Denoiser, step.networks[TEACHER])
    psi = cast(DiffusionScoreEstimator, step.networks[ESTIMATOR]).network
    return tuple(  # type: ignore[return-value]
        network.denoise(point.e_t.detach(), point.t_B, point.batch).x0 for network in (phi, psi)
    )


@pytest.mark.parametrize(
    ("k", "calls", "low", "high"), [(1, 1, 0, 1999), (1, 4, 1117, 1999), (2, 4, 745, 1117), (4, 4, 0, 372)]
)
def test_s_lies_between_a_call_and_the_next(k: int, calls: int, low: int, high: int) -> None:
    assert interval(SCHEDULE, renoising_times(SCHEDULE, 1490, calls), k) == (low, high)


def test_the_first_calls_state_is_the_forward_diffusion(toy: ToyTeacher) -> None:
    step = step_of(toy, "generator", objective_of())
    point, epsilon = step.point(Between()), step.noise.normal("epsilon", toy.space.state_shape)
    alpha, sigma = (of(point.t_B)[:, None, None] for of in (SCHEDULE.alpha, SCHEDULE.sigma))
    expected = (alpha * step.e_fake + sigma * epsilon) * step.mask
    torch.testing.assert_close(point.e_t * step.mask, expected)
    assert len(point.t_B.unique()) == len(step.fake), "one s a sample"


@pytest.mark.parametrize("name", ["sqrt", "flow"])
def test_a_later_calls_state_is_a_draw_of_the_posterior(name: str) -> None:
    """By Bayes, from q(z_t | z_s) and q(z_s | e)."""
    toy = toy_teacher(ToyOptions(schedule=name)).double()
    step = step_of(toy, "generator", objective_of(), calls=(2, 3))
    point, above = step.point(Between()), step.generator_input
    e, epsilon = step.e_fake, step.noise.normal("epsilon", toy.space.state_shape)
    schedule = step.space.schedule
    (a_t, s_t), (a_s, s_s) = (
        (expand(schedule.alpha(t_B), e), expand(schedule.sigma(t_B), e)) for t_B in (above.t_B, point.t_B)
    )
    assert bool((point.t_B < above.t_B).all())
    forward, noise = a_t / a_s, s_t**2 - (a_t / a_s) ** 2 * s_s**2  # q(z_t | z_s)
    precision = forward**2 / noise + 1 / s_s**2
    mean = (forward / noise * above.e_t + a_s / s_s**2 * e) / precision
    expected = mean + precision**-0.5 * epsilon
    torch.testing.assert_close(point.e_t * step.mask, expected * step.mask)


@pytest.mark.parametrize("calls", [(1, 1), (2, 3)])
def test_thetas_gradient_is_the_difference_of_the_predictions(
    toy: ToyTeacher, calls: tuple[int, int]
) -> None:
    objective = objective_of(weighting="snr")
    step = step_of(toy, "generator", objective, calls=calls)
    (slope,) = torch.autograd.grad(objective.generator_loss(step).loss_B.sum(), step.e_fake)
    f_phi, f_psi = predictions(step)
    s_B = step.point(Between()).t_B
    weight_B = (SCHEDULE.alpha(s_B) / SCHEDULE.sigma(s_B)) ** 2 / (step.mask.sum((1, 2)) * slope.shape[2])
    torch.testing.assert_close(slope, weight_B[:, None, None] * (f_psi - f_phi) * step.mask)


@pytest.mark.parametrize(("weighting", "pull"), [("one", 1.0), ("snr", 1.0), ("one", 0.25), ("one", 0.0)])
def test_psis_loss_by_hand(toy: ToyTeacher, weighting: str, pull: float) -> None:
    objective = objective_of(dsm_weighting=weighting, teacher_pull=pull)
    step = step_of(toy, "estimator", objective)
    f_phi, f_psi = predictions(step)
    s_B = step.point(Between()).t_B
    gamma_B = (SCHEDULE.alpha(s_B) / SCHEDULE.sigma(s_B)) ** 2 if weighting == "snr" else 1.0
    expected_B = masked_mean((f_psi - step.e_fake) ** 2 + pull * (f_psi - f_phi) ** 2, step.mask)
    torch.testing.assert_close(objective.estimator_loss(step).loss_B, gamma_B * expected_B)


class HalfWay(ScoreEstimator):
    """ψ that minimises its loss: the mean of φ's answer and of the best one for what θ writes now."""

    def __init__(self, student: AffineStudent) -> None:
        super().__init__()
        self.student = student

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        mean, std = self.student.b.detach(), self.student.a.detach()
        both = (gaussian_x0(SCHEDULE, m, s, e_t, t_B) for m, s in ((mean, std), (MEAN, STD)))
        return Denoised(sum(both) / 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("weighting", ["one", "sid"])
def test_the_student_becomes_the_data(weighting: str) -> None:
    found = distil_gaussian(objective_of(weighting=weighting), SCHEDULE, MEAN, STD, estimator=HalfWay)
    assert found == pytest.approx((MEAN, STD), abs=0.01)


def as_tensors(means: dict[str, float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(mean, dtype=torch.float64) for name, mean in means.items()}


@pytest.mark.parametrize("pull", [0.0, 1.0, 3.0])
def test_a_psi_at_the_least_of_its_loss_has_no_lag(pull: float) -> None:
    """φ = 1 and the best answer for θ's outputs e is 0: ψ rests at λ/(1 + λ)."""
    rest = pull / (1 + pull)
    d = 1 - rest
    means = as_tensors({"gap_weighted": d**2, "lag_weighted": d * (0 - rest)})
    assert objective_of(teacher_pull=pull).observe("generator", means)["estimator_lag"] == pytest.approx(0)
    behind = as_tensors({"gap_weighted": 0.25**2, "lag_weighted": 0.25 * (0 - 0.75)})  # at 0.75
    share = (rest - 0.75) / 0.25
    found = objective_of(teacher_pull=pull).observe("generator", behind)["estimator_lag"]
    assert found == pytest.approx(share)


def test_no_gap_is_no_lag() -> None:
    """As where ψ begins at φ's copy."""
    means = as_tensors({"gap_weighted": 0.0, "lag_weighted": 0.0})
    assert objective_of(teacher_pull=1.0).observe("generator", means)["estimator_lag"] == 0
