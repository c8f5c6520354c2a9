"""dlmone/runtime/gradients.py: what is summed when; what comes out is checked in test_distributed.py."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import PluginError
from dlmone.runtime.distributed import World
from dlmone.runtime.gradients import GradientSum


class Doubled(World):
    """The first of two processes, of which the other has the same gradients; it notes what happens."""

    events: list[str]

    def __init__(self) -> None:
        super().__init__(0, 2)
        object.__setattr__(self, "events", [])

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        self.events.append(f"begin {values.numel()}")
        return lambda: values.mul_(2)


@pytest.fixture
def world() -> Doubled:
    return Doubled()


def test_a_bucket_is_summed_while_the_backward_pass_goes_on(world: Doubled) -> None:
    network = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Linear(4, 3, bias=False))
    summed = GradientSum(network.parameters(), world, size=1)
    hidden = network[0](torch.ones(1, 5))
    hidden.register_hook(lambda slope: world.events.append("first layer"))
    summed.before_last()
    network[1](hidden).sum().backward()
    assert world.events == ["begin 12", "first layer", "begin 20"]
    own = [parameter.grad.clone() for parameter in network.parameters()]
    summed.finish()
    for parameter, gradient in zip(network.parameters(), own, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient, rtol=0, atol=0)


def test_only_the_last_of_several_backward_passes_is_summed(world: Doubled) -> None:
    layer = nn.Linear(5, 4)
    summed = GradientSum(layer.parameters(), world)
    layer(torch.ones(1, 5)).sum().backward()
    assert world.events == []
    summed.before_last()
    layer(torch.ones(1, 5)).sum().backward()
    assert world.events == ["begin 24"]
    summed.finish()
    torch.testing.assert_close(layer.weight.grad, torch.full((4, 5), 4.0), rtol=0, atol=0)


def test_sums_begin_in_one_order_whatever_has_a_gradient(world: Doubled) -> None:
    """A process that lacks a bucket's gradients holds the later ones back, for the others to keep in step."""
    one, other = nn.Linear(5, 1, bias=False), nn.Linear(7, 1, bias=False)
    summed = GradientSum([*one.parameters(), *other.parameters()], world, size=1)
    summed.before_last()
    one(torch.ones(1, 5)).sum().backward()
    assert world.events == []
    summed.finish()
    assert world.events == ["begin 7", "begin 5"]
    assert other.weight.grad is not None
    assert not other.weight.grad.any()


def test_buckets_hold_one_dtype_and_no_more_than_their_size(world: Doubled) -> None:
    shapes = [(3, torch.float32), (3, torch.float32), (2, torch.float64), (2, torch.float32)]
    parameters = [nn.Parameter(torch.ones(size, dtype=dtype)) for size, dtype in shapes]
    frozen = nn.Parameter(torch.ones(9), requires_grad=False)
    GradientSum([*parameters, frozen], world, size=20).finish()
    assert world.events == ["begin 2", "begin 2", "begin 3", "begin 3"]


def test_a_second_gradient_after_the_sum_began_is_refused(world: Doubled) -> None:
    layer = nn.Linear(5, 4)
    summed = GradientSum(layer.parameters(), world)
    summed.before_last()
    layer(torch.ones(1, 5)).sum().backward()
    with pytest.raises(PluginError, match="use_reentrant=False"):
        layer(torch.ones(1, 5)).sum().backward()
