"""Temperature beyond LangFlow's own sampler: of `ddim`, and of the teacher's targets in distillation."""

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, InputError, Noise, Start
from dlmone.core.step.losses import masked_mean
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.testing import new_step, toy_teacher
from dlmone.testing.toy import EXAMPLES

SIZES = {"length": 14, "width": 8, "condition": 4, "layers": 1, "heads": 2}


@pytest.fixture(scope="module")
def teacher() -> LangFlowTeacher:
    torch.manual_seed(0)
    options = LangFlowOptions(tokenizer="words", conditional=True, **SIZES)
    teacher = LangFlowTeacher.build(options, EXAMPLES).eval().requires_grad_(False)
    for parameter in teacher.network.parameters():
        parameter.normal_(std=0.3)
    return teacher


def tempered(
    teacher: LangFlowTeacher, x: Tensor, t_B: Tensor, batch: Batch, previous: Tensor | None, tau: float
) -> Tensor:
    logits_BLV = teacher.network.predict(x, t_B, batch, previous).logits
    return (logits_BLV / tau).softmax(-1) @ teacher.space.rows()


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.0])
def test_ddim_hands_tempered_estimates_on(teacher: LangFlowTeacher, tau: float) -> None:
    space, schedule = teacher.space, teacher.space.schedule
    batch = space.collate(EXAMPLES[:3])
    noise, given = Noise([(row,) for row in range(3)]), space.embed_condition(batch)
    sampler = DDIM(DDIMOptions(temperature=tau, spacing=(0.5,)))
    found, calls = sampler.sample(teacher.network, space, batch, noise, 2)
    t_B, s_B = schedule.tensor(schedule.max_time, 3), schedule.tensor(0.5, 3)
    z = Start(schedule.max_time).state(space, noise.normal("z", space.state_shape))
    first = tempered(teacher, space.pin(z, given, batch), t_B, batch, None, tau)
    ratio_B = schedule.sigma(s_B) / schedule.sigma(t_B)
    x = (
        ratio_B[:, None, None] * z
        + (schedule.alpha(s_B) - schedule.alpha(t_B) * ratio_B)[:, None, None] * first
    )
    last = tempered(teacher, space.pin(x.float(), given, batch), s_B, batch, first, tau)
    torch.testing.assert_close(found, space.pin(last, given, batch), rtol=0, atol=1e-5)
    assert calls == 2


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_regression_learns_tempered_samples(teacher: LangFlowTeacher, tau: float) -> None:
    objective = Regression(RegressionOptions(steps=1, temperature=tau))
    requests = objective.requests("generator")
    assert requests is not None
    step = new_step(teacher, "generator", requests)
    space, schedule, batch = step.space, step.space.schedule, step.fake
    t_B = schedule.tensor(schedule.max_time, len(batch))
    x = space.pin(Start(schedule.max_time).state(space, step.z), space.embed_condition(batch), batch)
    # What the network reads as its own estimate is what it was trained to read: without temperature.
    previous = tempered(teacher, x, t_B, batch, None, 1.0)
    target = tempered(teacher, x, t_B, batch, previous, tau)
    wanted_B = masked_mean((step.e_fake - target) ** 2, step.mask)
    loss_B = objective.generator_loss(step).loss_B
    torch.testing.assert_close(loss_B.detach(), wanted_B.detach(), rtol=1e-5, atol=1e-6)


def test_a_network_without_token_probabilities_is_refused() -> None:
    toy = toy_teacher()
    objective = Regression(RegressionOptions(steps=1, temperature=0.5))
    requests = objective.requests("generator")
    assert requests is not None
    step = new_step(toy, "generator", requests)
    with pytest.raises(InputError, match=r"^temperature: \w+ predicts states"):
        objective.generator_loss(step)
    batch = toy.space.collate(EXAMPLES[:1])
    with pytest.raises(InputError, match="so give 1"):
        DDIM(DDIMOptions(temperature=0.5)).sample(toy.network, toy.space, batch, Noise([(0,)]), 2)
