"""plugins/flow_map/objective.py: its loss by hand, on the toy."""

from functools import partial
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dlmone.core import GENERATOR, TEACHER, Batch, Denoiser, DiffusionGenerator
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.step.losses import masked_mean
from dlmone.plugins.flow_map.objective import FlowMap
from dlmone.plugins.flow_map.states import grid, ways
from dlmone.testing import ToyTeacher, check_objective
from dlmone.testing.oracle import BatchNoise

from ..on_gaussians import check_gradient, step_of
from .small import LOSSES, options


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", [1, 2])
def test_the_contract_holds(loss: str, order: int) -> None:
    check_objective(FlowMap(options(loss=loss, order=order)))


@pytest.mark.parametrize(
    ("loss", "order", "times"),
    [*((loss, 1, 6) for loss in LOSSES), ("lagrangian", 2, 3), ("eulerian", 2, 6), ("progressive", 2, 40)],
)
def test_the_loss_by_hand(toy: ToyTeacher, loss: str, order: int, times: int) -> None:
    """The target leads where two jumps lead, one after the other; a part that is φ's is DDIM's step."""
    objective = FlowMap(options(loss=loss, order=order, times=times, to_end=0.3))
    step = step_of(toy, objective)
    space, schedule, real = step.space, step.space.schedule, step.real
    theta, average = (
        cast(DiffusionGenerator, step.networks[one]).network for one in (GENERATOR, objective.auxiliaries[0])
    )
    phi = cast(Denoiser, step.networks[TEACHER])
    e, mask = space.embed(real), space.generated(real)
    epsilon = step.real_noise.normal("epsilon", space.state_shape)
    values = grid(schedule, step.generator.t_init, objective.options)
    clean = schedule.min_time
    for row, indices in enumerate(torch.stack(ways(step, objective.options), 1).tolist()):
        t, u, s = (schedule.tensor(values[i], 1) for i in indices)
        one, e_1, mask_1 = (part[row : row + 1] for part in (real, e, mask))
        pin = partial(lambda x, e_1, one: space.pin(x, e_1, one), e_1=e_1, one=one)
        x = pin(schedule.diffuse(e_1, t, epsilon[row : row + 1]))

        def ode(x: Tensor, t: Tensor, s: Tensor, one: Batch = one, pin: Any = pin) -> Tensor:
            x0 = phi.denoise(x, t, one).x0
            if order == 2:
                x0 = (x0 + phi.denoise(pin(ddim_step(schedule, x0, x, t, s)), s, one).x0) / 2
            return x0

        def own(x: Tensor, t: Tensor, s: Tensor, one: Batch = one) -> Tensor:
            return average.denoise(x, t, one, s_B=s).x0

        if indices[0] - indices[2] <= 1:
            target = ode(x, t, s)
        else:
            first, second = (own if loss != "eulerian" else ode), (own if loss != "lagrangian" else ode)
            x_u = pin(ddim_step(schedule, first(x, t, u), x, t, u))
            target = second(x_u, u, s)
            if s != clean:
                # The x0 that leads from x to the second jump's end in one step.
                x_s = ddim_step(schedule, target, x_u, u, s)
                share = schedule.sigma(s) / schedule.sigma(t)
                target = (x_s - share * x) / (schedule.alpha(s) - share * schedule.alpha(t))
        expected = masked_mean((theta.denoise(x, t, one, s_B=s).x0 - target) ** 2, mask_1)
        torch.testing.assert_close(objective.generator_loss(step).loss_B[row], expected[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_only_theta_learns_and_only_from_the_whole_way(toy: ToyTeacher, loss: str) -> None:
    theta = check_gradient(toy, FlowMap(options(loss=loss))).network
    assert theta.second_H.grad.abs().max() > 1e-4, "the second time is learned"


def test_ways_go_down_and_a_share_of_them_to_the_end(toy: ToyTeacher) -> None:
    for loss in LOSSES:
        chosen = options(loss=loss, times=5, to_end=0.5)
        step = step_of(toy, FlowMap(chosen))
        step.real_noise = BatchNoise(0)
        seen = [torch.stack(ways(step, chosen), 1)]
        for seed in range(1, 30):
            step.real_noise = BatchNoise(seed)
            seen.append(torch.stack(ways(step, chosen), 1))
        t, u, s = torch.cat(seen).T
        assert bool(((s <= u) & (u <= t) & (t >= 1) & (t <= 5)).all())
        assert {*t.tolist()} == {1, 2, 3, 4, 5}
        # Half, and of the others 1/(t + 1); of the progressive loss a quarter is one step.
        direct = 0.5 + 0.5 * sum(1 / (time + 1) for time in range(1, 6)) / 5
        if loss == "progressive":
            direct = 0.75 * direct + 0.25 / 5
        assert float((s == 0).float().mean()) == pytest.approx(direct, abs=0.06)
        long = t - s >= 2
        parts = {"lagrangian": u - s == 1, "eulerian": t - u == 1, "progressive": (s < u) & (u < t)}
        assert bool(parts[loss][long].all())
