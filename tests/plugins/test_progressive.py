"""Progressive distillation: by hand on the toy, and one step for two on Gaussian data."""

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    GENERATOR,
    START,
    Batch,
    Denoised,
    Denoiser,
    DiffusionGenerator,
    FlowSchedule,
    InputError,
    NoiseSchedule,
)
from dlmone.core.model.schedule import expand
from dlmone.core.sampling.ddim import ddim, ddim_step, sampling_times
from dlmone.core.step.losses import masked_mean
from dlmone.plugins.progressive.objective import Above, Progressive, round_times
from dlmone.plugins.progressive.options import ProgressiveOptions
from dlmone.registry import spacing_on
from dlmone.testing import ToyOptions, check_objective, toy_teacher
from dlmone.testing.known import Gaussian, numbers
from dlmone.testing.oracle import ENTRIES

from .on_gaussians import MEAN, SCHEDULE, STD, distil, step_of, student


def progressive(**options: Any) -> Progressive:
    return Progressive(ProgressiveOptions.model_validate(options))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_contract_holds(steps: int) -> None:
    check_objective(progressive(steps=steps))


@pytest.mark.parametrize("schedule", [SCHEDULE, FlowSchedule()], ids=["whole", "flow"])
@pytest.mark.parametrize("spacing", ["time", "ratio", [{"ratio": 1.5}, {"ratio": 0.8}]], ids=str)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_every_other_time_is_one_of_the_new_samplers(
    schedule: NoiseSchedule, spacing: Any, steps: int
) -> None:
    options, top = ProgressiveOptions(steps=steps, spacing=spacing), schedule.time_of_ratio(3.0)
    new = sampling_times(schedule, top, steps, spacing=spacing_on(options.spacing, schedule, "spacing"))
    old = round_times(schedule, top, options)
    assert (len(old), old[::2]) == (2 * steps, pytest.approx(new))
    ratios = [float(schedule.ratio(schedule.tensor(time, 1))) ** (1 / 7) for time in old]
    falls = [above - below for above, below in pairwise(ratios)]
    assert spacing != "ratio" or max(falls) < 1.3 * min(falls)


@pytest.mark.parametrize("spacing", ["ratio", [{"ratio": 0.3}]], ids=str)
def test_the_contract_holds_however_steps_are_spread(spacing: Any) -> None:
    check_objective(progressive(steps=2, spacing=spacing))


def test_named_times_that_rise_are_refused() -> None:
    with pytest.raises(InputError, match=r"^spacing: named times must fall, .* are 200, 300$"):
        progressive(steps=2, spacing=[200.0, 300.0]).check(SCHEDULE, 1490)


def test_more_steps_than_times_are_refused() -> None:
    with pytest.raises(InputError, match=r"^steps: there are 10 times from 9 down, too few for 16 steps$"):
        progressive(steps=8).check(SCHEDULE, 9)


@pytest.mark.parametrize(
    ("schedule", "steps", "weighting"), [("sqrt", 2, "truncated_snr"), ("sqrt", 1, "one"), ("flow", 3, "one")]
)
def test_the_loss_by_hand(schedule: str, steps: int, weighting: str) -> None:
    """One DDIM step from z_t with x̃ must end where two of the former θ's do."""
    toy, objective = (
        toy_teacher(ToyOptions(schedule=schedule)).double(),
        progressive(steps=steps, weighting=weighting),
    )
    step = step_of(toy, objective)
    space, real, scale = step.space, step.real, toy.space.schedule
    theta, former = (cast(DiffusionGenerator, step.networks[one]).network for one in (GENERATOR, START))
    times = [*round_times(scale, step.generator.t_init, objective.options), None]
    above, loss_B = step.point(Above(objective.options)), objective.generator_loss(step).loss_B
    kinds = set()
    for row, time in enumerate(above.t_B.tolist()):
        one, z = real[row : row + 1], above.e_t[row : row + 1]
        place = times.index(time)
        t_1, m_1 = (scale.tensor(times[place + i], 1) for i in (0, 1))

        def pinned(x: Tensor, one: Batch = one) -> Tensor:
            return space.pin(x, space.embed(one), one)

        z_m = pinned(ddim_step(scale, former.denoise(z, t_1, one).x0, z, t_1, m_1))
        x0 = former.denoise(z_m, m_1, one).x0
        target, mask = x0, space.generated(one)
        if times[place + 2] is not None:
            s_1 = scale.tensor(times[place + 2], 1)
            found = ddim_step(scale, x0, z_m, m_1, s_1)
            # x̃ solved for by two trial values: the DDIM step is affine in it.
            zero, unit = (ddim_step(scale, torch.full_like(z, value), z, t_1, s_1) for value in (0.0, 1.0))
            target = (found - zero) / (unit - zero)
        kinds.add(times[place + 2] is None)
        error = masked_mean((theta.denoise(z, t_1, one).x0 - target) ** 2, mask)
        snr = float(scale.alpha(t_1) / scale.sigma(t_1)) ** 2
        weight = max(snr, 1.0) if weighting == "truncated_snr" else 1.0
        torch.testing.assert_close(loss_B[row], weight * error[0])
    assert kinds == ({True} if steps == 1 else {True, False}), "both kinds of target were tried"


class Tables(Denoiser):
    """θ: at each time an affine map of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2000)), nn.Parameter(torch.zeros(2000))

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        return Denoised(expand(self.a[t_B], e_t) * e_t + expand(self.b[t_B], e_t))


def test_k_steps_of_the_student_are_two_k_of_its_teacher() -> None:
    steps, theta, former = 2, Tables(), Gaussian(SCHEDULE, MEAN, STD)
    networks = {GENERATOR: student(theta), START: student(former)}
    distil(progressive(steps=steps), networks, 400, lr=5e-2, end=0.01)

    z, batch = torch.linspace(-2, 2, 5)[:, None].expand(5, ENTRIES), numbers(5, ENTRIES)

    def sampled(network: Denoiser, calls: int) -> Tensor:
        times = sampling_times(SCHEDULE, 1999, calls)
        with torch.no_grad():
            return ddim(SCHEDULE, lambda x, t_B: network.denoise(x, t_B, batch).x0, z, times)

    two_k = sampled(former, 2 * steps)
    torch.testing.assert_close(sampled(theta, steps), two_k, rtol=0, atol=0.03)
    assert (sampled(former, steps) - two_k).abs().max() > 0.1, "fewer steps of the teacher end elsewhere"
    assert all(a < b for a, b in pairwise(two_k[:, 0].tolist()))
