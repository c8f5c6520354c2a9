"""Regression: what its targets are, on the toy."""

from typing import Literal, cast

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import (
    START,
    TEACHER,
    Denoiser,
    DiffusionGenerator,
    SampledGenerator,
)
from dlmone.core.sampling.ddim import ddim_step, sampling_times
from dlmone.core.step.losses import masked_mean
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.testing import ToyTeacher, new_step

from .steps import step_of


@pytest.mark.parametrize("until", [None, 1400])
def test_regression_is_the_distance_to_what_the_teacher_writes_from_the_same_noise(
    toy: ToyTeacher, until: float | None
) -> None:
    objective = Regression(RegressionOptions.model_validate({"steps": 4, "until": until}))
    step = step_of(toy, "generator", objective)
    writer = SampledGenerator(
        cast(Denoiser, step.networks[TEACHER]), step.space, DDIM(DDIMOptions.model_validate({"until": until}))
    )
    target = writer.generate(step.fake, step.noise, 4).state
    assert target is not None
    expected_B = masked_mean((step.e_fake - target) ** 2, step.mask)
    loss_B = objective.generator_loss(step).loss_B
    torch.testing.assert_close(loss_B, expected_B)
    one = writer.generate(step.fake, step.noise, 1).state
    assert one is not None
    assert not loss_B.allclose(masked_mean((step.e_fake - one) ** 2, step.mask))


@pytest.mark.parametrize("initial", ["student", "average"])
def test_regression_onto_what_the_teacher_makes_of_the_students_first_answer(
    toy: ToyTeacher, initial: Literal["student", "average"]
) -> None:
    objective = Regression(RegressionOptions(steps=3, initial=initial))
    step = step_of(toy, "generator", objective)
    first = START if initial == "student" else objective.auxiliaries[0]
    start, phi = cast(DiffusionGenerator, step.networks[first]), cast(Denoiser, step.networks[TEACHER])
    space, batch, schedule = step.space, step.fake, step.space.schedule
    z = step.noise.normal("z", space.state_shape)
    along = sampling_times(schedule, start.t_init, 3)
    t_B, s_B = (schedule.tensor(time, len(batch), z.device) for time in along[1:])

    def answer(x: Tensor, time_B: Tensor) -> Tensor:
        pinned = space.pin(x, space.embed(batch), batch)
        return space.round(phi.denoise(pinned, time_B, batch).x0)

    with torch.no_grad():
        x_t = schedule.diffuse(space.round(start.one_step(batch, z)), t_B, z)
        target = answer(ddim_step(schedule, answer(x_t, t_B), x_t, t_B, s_B), s_B)
    expected_B = masked_mean((step.e_fake - target) ** 2, step.mask)
    torch.testing.assert_close(objective.generator_loss(step).loss_B, expected_B)
    assert not start.one_step(batch, z).equal(step.e_fake)


@pytest.mark.parametrize("initial", ["student", "average"])
def test_a_later_call_is_refined_from_its_own_input(
    toy: ToyTeacher, initial: Literal["student", "average"]
) -> None:
    objective = Regression(RegressionOptions(steps=2, initial=initial))
    requests = objective.requests("generator")
    assert requests is not None
    step = new_step(toy, "generator", requests, auxiliaries=objective.auxiliaries, calls=(2, 2))
    first = START if initial == "student" else objective.auxiliaries[0]
    start, phi = cast(DiffusionGenerator, step.networks[first]), cast(Denoiser, step.networks[TEACHER])
    space, batch, given, schedule = step.space, step.fake, step.generator_input, step.space.schedule
    until_B = schedule.tensor(sampling_times(schedule, given.t_B[0].item(), 2)[1], len(batch), step.z.device)
    with torch.no_grad():
        x0 = space.round(given.denoise(start.network).x0)
        x_t = space.pin(ddim_step(schedule, x0, given.e_t, given.t_B, until_B), step.given, batch)
        target = space.round(phi.denoise(x_t, until_B, batch).x0)
    expected_B = masked_mean((step.e_fake - target) ** 2, step.mask)
    torch.testing.assert_close(objective.generator_loss(step).loss_B, expected_B)


@pytest.mark.parametrize("until", [1490, {"ratio": 2.5}, {"quantile": 1490 / 1999}])
def test_regression_takes_its_time_in_any_form(toy: ToyTeacher, until: object) -> None:
    def loss_B(time: object) -> Tensor:
        objective = Regression(RegressionOptions.model_validate({"steps": 3, "until": time}))
        return objective.generator_loss(step_of(toy, "generator", objective)).loss_B

    torch.testing.assert_close(loss_B(until), loss_B(1490))
    assert not loss_B(1490).equal(loss_B(None))


@pytest.mark.parametrize("initial", ["student", "average"])
def test_one_call_is_no_refinement(initial: Literal["student", "average"]) -> None:
    with pytest.raises(ValidationError, match="steps must be at least 2: one call is not refined"):
        RegressionOptions(steps=1, initial=initial)
