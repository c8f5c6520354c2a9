"""Consistency distillation: by hand on the toy, its grid, and the flow map of a Gaussian."""

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    Denoiser,
    DiffusionGenerator,
    InputError,
    Noise,
    StepContext,
)
from dlmone.core.model.schedule import FlowSchedule, expand
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.step.losses import masked_mean
from dlmone.plugins.consistency.grid import grid
from dlmone.plugins.consistency.objective import Consistency
from dlmone.plugins.consistency.options import ConsistencyOptions
from dlmone.testing import ToyTeacher, check_objective
from dlmone.testing.known import Gaussian, numbers
from dlmone.testing.oracle import ENTRIES

from .on_gaussians import MEAN, SCHEDULE, STD, check_gradient, distil, step_of, student


def options(**given: Any) -> ConsistencyOptions:
    return ConsistencyOptions.model_validate(given)


def slots(objective: Consistency, step: StepContext) -> list[int]:
    """Return which time of the grid each sample has, from 0."""
    times = grid(step.space.schedule, step.generator.t_init, objective.options)
    return [times.index(time) for time in step.point(objective.above.state).t_B.tolist()]


@pytest.mark.parametrize(
    "chosen", [{}, {"spacing": "ratio"}, {"rate": 0.0}, {"times": 2, "order": 2}], ids=str
)
def test_the_contract_holds(chosen: dict[str, Any]) -> None:
    check_objective(Consistency(options(**chosen)))


@pytest.mark.parametrize(
    ("weighting", "times", "order"), [("one", 2, 1), ("snr", 2, 1), ("one", 40, 2), ("min_snr", 3, 1)]
)
def test_the_loss_by_hand(toy: ToyTeacher, weighting: str, times: int, order: int) -> None:
    """With two times some samples have the data for their target and others the average one step down."""
    objective = Consistency(options(weighting=weighting, times=times, order=order))
    step = step_of(toy, objective)
    space, schedule, real = step.space, step.space.schedule, step.real
    theta, average = (
        cast(DiffusionGenerator, step.networks[one]).network for one in (GENERATOR, objective.auxiliaries[0])
    )
    phi = cast(Denoiser, step.networks[TEACHER])
    e, mask = space.embed(real), space.generated(real)
    epsilon = step.real_noise.normal("epsilon", space.state_shape)
    values = grid(schedule, step.generator.t_init, objective.options)
    for row, slot in enumerate(slots(objective, step)):
        one, e_1, mask_1 = real[row : row + 1], e[row : row + 1], mask[row : row + 1]

        def evaluate(
            network: Denoiser, x: Tensor, time: float, one: Batch = one, e_1: Tensor = e_1
        ) -> Tensor:
            return network.denoise(space.pin(x, e_1, one), schedule.tensor(time, 1), one).x0

        t_1 = schedule.tensor(values[slot], 1)
        x = space.pin(schedule.diffuse(e_1, t_1, epsilon[row : row + 1]), e_1, one)
        target = e_1
        if slot:
            s_1 = schedule.tensor(values[slot - 1], 1)
            f_phi = evaluate(phi, x, values[slot])
            lower = ddim_step(schedule, f_phi, x, t_1, s_1)
            if order == 2:
                f_phi = (f_phi + evaluate(phi, lower, values[slot - 1])) / 2
                lower = ddim_step(schedule, f_phi, x, t_1, s_1)
            target = evaluate(average, lower, values[slot - 1])
        snr = float((schedule.alpha(t_1) / schedule.sigma(t_1)) ** 2)
        gamma = {"one": 1.0, "snr": snr, "min_snr": min(snr, 5.0)}[weighting]
        expected = gamma * masked_mean((evaluate(theta, x, values[slot]) - target) ** 2, mask_1)
        torch.testing.assert_close(objective.generator_loss(step).loss_B[row], expected[0])
    if times == 2:
        assert {*slots(objective, step)} == {0, 1}, "both kinds of target were tried"


def test_only_theta_learns_and_only_at_the_upper_state(toy: ToyTeacher) -> None:
    check_gradient(toy, Consistency(options()))


# -- the grid --------------------------------------------------------------------------------------------


def test_the_grid_ends_at_t_init() -> None:
    assert grid(SCHEDULE, 1999, options(times=8)) == [249, 499, 749, 999, 1249, 1499, 1749, 1999]
    assert grid(FlowSchedule(0.0, 1.0), 1.0, options(times=4)) == [0.25, 0.5, 0.75, 1.0]


def test_the_grid_by_ratio_is_karras_s() -> None:
    flow = FlowSchedule(1 / 3, 0.75)  # σ/α from 1/2 to 3
    times = grid(flow, 0.75, options(times=5, spacing="ratio"))
    steps = [(time / (1 - time)) ** (1 / 7) for time in times]
    assert (times[0], times[-1]) == (pytest.approx(1 / 3), 0.75)
    even = (3 ** (1 / 7) - 0.5 ** (1 / 7)) / 4
    assert [b - a for a, b in pairwise(steps)] == pytest.approx([even] * 4)
    whole = grid(SCHEDULE, 1490, options(spacing="ratio"))
    assert (whole[0], whole[-1]) == (0, 1490)
    assert 30 < len(whole) <= 40, "whole times that coincide are one"
    assert all(a < b for a, b in pairwise(whole))


@pytest.mark.parametrize(
    ("schedule", "t_init", "chosen", "sentence"),
    [
        (FlowSchedule(), 1.0, {"spacing": "ratio"}, r"^spacing: σ/α has no end at 1, the first"),
        (SCHEDULE, 30, {"times": 40}, "^steps: there are 31 times from 30 down, too few for 40 steps$"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(
    schedule: Any, t_init: float, chosen: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        Consistency(options(**chosen)).check(schedule, t_init)


# -- the flow map of a Gaussian ---------------------------------------------------------------------------


class Tables(Denoiser):
    """θ: at each time an affine map of u = (x − α_t·m)/√(α_t²·s² + σ_t²), standard normal for noised data.

    The flow of the ODE keeps u. So the consistency function is m + s·u at every time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2000)), nn.Parameter(torch.zeros(2000))

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        alpha, sigma = expand(SCHEDULE.alpha(t_B), e_t), expand(SCHEDULE.sigma(t_B), e_t)
        u = (e_t - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2).sqrt()
        return Denoised(expand(self.a[t_B], e_t) * u + expand(self.b[t_B], e_t))


def trained(objective: Consistency, updates: int = 800) -> DiffusionGenerator:
    """Return θ distilled on Gaussian data from the exact teacher."""
    [average] = objective.auxiliaries
    networks = {
        TEACHER: Gaussian(SCHEDULE, MEAN, STD),
        GENERATOR: student(Tables()),
        average: student(Tables()),
    }
    return distil(objective, networks, updates)


def composed(times: list[float], order: int) -> float:
    """Return the slope in u of the exact teacher's ODE in steps from the last of the times to the first.

    It ends with E[e | x_{t_1}]. With ρ = σ/α and y = x/α, a step of the ODE dy/dρ = (y − x0)/ρ.
    """
    slope, mean = torch.tensor([1.0, 0.0], dtype=torch.float64), MEAN

    def x0(y: Tensor, rho: float) -> Tensor:
        return mean + STD**2 / (STD**2 + rho**2) * (y - mean)

    rhos = [float(SCHEDULE.ratio(SCHEDULE.tensor(time, 1))) for time in times]
    y = mean + slope * (STD**2 + rhos[-1] ** 2) ** 0.5
    for high, low in pairwise(rhos[::-1]):
        f = x0(y, high)
        if order == 2:
            f = (f + x0(f + low / high * (y - f), low)) / 2
        y = f + low / high * (y - f)
    end = x0(y, rhos[0])
    assert float(end[1]) == pytest.approx(mean)
    return float(end[0] - end[1])


CHOSEN = options(times=40, spacing="ratio", order=2, rate=0.5)
TIMES = grid(SCHEDULE, 1999, CHOSEN)
SLOPES = [composed(TIMES[: i + 1], 2) for i in range(len(TIMES))]


@pytest.fixture(scope="module")
def theta() -> DiffusionGenerator:
    return trained(Consistency(CHOSEN))


def test_theta_becomes_the_flow_of_the_teachers_ode(theta: DiffusionGenerator) -> None:
    """The closed form is m + s·u at every time; this grid's steps come as near to it as 0.025."""
    tables = cast(Tables, theta.network)
    assert tables.a.detach()[TIMES].tolist() == pytest.approx(SLOPES, abs=0.015)
    assert tables.a.detach()[TIMES].tolist() == pytest.approx([STD] * len(TIMES), abs=0.035)
    assert tables.b.detach()[TIMES].tolist() == pytest.approx([MEAN] * len(TIMES), abs=0.01)


def test_with_ddims_wide_steps_theta_becomes_their_composition() -> None:
    """Steps of first order shrink what they map: eight of them to two thirds of the data's width."""
    theta = cast(Tables, trained(Consistency(options(times=8)), 400).network)
    times = grid(SCHEDULE, 1999, options(times=8))
    expected = [composed(times[: i + 1], 1) for i in range(8)]
    assert expected[-1] < 0.5
    assert theta.a.detach()[times].tolist() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_the_student_samples_the_data_in_one_call_and_in_several(
    theta: DiffusionGenerator, calls: int
) -> None:
    """Tables know the times of their grid only, so later calls are made at the nearest of these."""
    batch = numbers(2000, ENTRIES)
    noise = Noise([(0, i) for i in range(len(batch))])
    with torch.no_grad():
        nearest = (torch.arange(2000)[:, None] - torch.tensor(TIMES)).abs().argmin(1)
        other = theta.with_network(Tables())
        for name in ("a", "b"):
            whole = getattr(cast(Tables, theta.network), name)[TIMES][nearest]
            getattr(cast(Tables, other.network), name).copy_(whole)
    state = other.generate(batch, noise, calls).state
    assert state is not None
    assert state.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert state.std().item() == pytest.approx(STD, abs=0.05)
