"""dlmone/training/updates/optimizer.py: learning rates, moving averages, and state that survives."""

import pytest
import torch
from torch import nn

from dlmone.registry.schema import Ema, PretrainOptimizer
from dlmone.registry.schema import Optimizer as OptimizerConfig
from dlmone.training.updates.optimizer import MovingAverage, Optimizer, ema_decay, learning_rate


def test_ema_decay_halves_in_a_half_life_and_ramps_up() -> None:
    plain = Ema(half_life=1000, ramp=None)
    assert ema_decay(plain, 100, 5) ** 10 == pytest.approx(0.5)
    ramped = Ema(half_life=1000, ramp=0.05)
    assert ema_decay(ramped, 100, 1) == pytest.approx(0.5**20)
    assert ema_decay(ramped, 100, 10**6) == ema_decay(plain, 100, 1)


def test_the_average_is_the_convex_combination() -> None:
    average, module = nn.Linear(3, 3), nn.Linear(3, 3)
    expected = 0.75 * average.weight + 0.25 * module.weight
    MovingAverage(average, module).update(0.75)
    torch.testing.assert_close(average.weight, expected)


def test_what_is_learned_outside_the_parameters_reaches_the_average() -> None:
    average, module = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    module(torch.randn(5, 3))
    MovingAverage(average, module).update(0.75)
    assert torch.equal(average.running_mean, module.running_mean)
    assert average.num_batches_tracked == 1


def test_a_buffer_that_was_replaced_reaches_the_average() -> None:
    average, module = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    averaging = MovingAverage(average, module)
    for value in (1.0, 2.0):
        module.running_mean = torch.full((3,), value)
        average.running_var = torch.zeros(3)
        averaging.update(0.75)
        assert torch.equal(average.running_mean, module.running_mean)
        assert torch.equal(average.running_var, module.running_var)


def test_integer_betas_and_infinite_gradients_are_survived() -> None:
    module = nn.Linear(2, 1)
    optimizer = Optimizer(module, OptimizerConfig.model_validate({"lr": 0.1, "beta1": 0}))
    before = module.bias.detach().clone()
    module.weight.grad = torch.tensor([[float("nan"), float("inf")]])
    module.bias.grad = torch.ones(1)
    optimizer.step()
    assert module.weight.isfinite().all()
    assert (module.bias < before).all()


def test_optimizer_state_survives_a_round_trip() -> None:
    def stepped(module: nn.Module, optimizer: Optimizer, times: int) -> None:
        for i in range(times):
            torch.manual_seed(i + 10 * len(optimizer.state()))
            (module(torch.randn(4, 3)) ** 2).mean().backward()
            optimizer.step()

    config = PretrainOptimizer(lr=0.01)
    torch.manual_seed(0)
    one = nn.Linear(3, 2)
    two = nn.Linear(3, 2)
    first = Optimizer(one, config)
    stepped(one, first, 3)
    two.load_state_dict(one.state_dict())
    second = Optimizer(two, config)
    second.load(first.state())
    stepped(one, first, 2)
    stepped(two, second, 2)
    assert torch.equal(one.weight, two.weight)
    assert all(torch.equal(a, second.state()[name]) for name, a in first.state().items())


def test_a_stages_rate_rises_and_falls() -> None:
    rates = [learning_rate(2.0, 2, "linear", step, 4) for step in range(4)]
    assert rates == [1.0, 1.5, 1.0, 0.5]
    assert [learning_rate(2.0, 0, "constant", step, 4) for step in range(4)] == [2.0] * 4
