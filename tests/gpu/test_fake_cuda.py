"""The counter sees every way in which the host waits, and nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from .fake_cuda import CUDA, FakeCuda, traffic_of

WAYS: dict[str, Callable[[Tensor], object]] = {
    "a value": lambda x: x[0].item(),
    "a condition": lambda x: bool((x > 0).all()),
    "a list": lambda x: x.tolist(),
    "a copy to the host": lambda x: x.cpu(),
    "a copy into the host's memory": lambda x: torch.empty(3).copy_(x),
    "a copy from memory that is not pinned": lambda x: torch.zeros(3).to(CUDA, non_blocking=True),
    "a copy that is waited for": lambda x: torch.zeros(3).pin_memory().to(CUDA),
    "a constant": lambda x: torch.tensor(1.0, device=CUDA),
    "a copy into the device's memory": lambda x: x.copy_(torch.zeros(3)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_counter_sees_every_way_of_waiting(way: str, cuda: FakeCuda) -> None:
    x = torch.zeros(3, device=CUDA)
    assert traffic_of(cuda, lambda: WAYS[way](x)).waits.total() == 1


@pytest.mark.parametrize("choose", [lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.unique()])
def test_a_size_that_only_the_data_tell_is_refused(
    choose: Callable[[Tensor], object], cuda: FakeCuda
) -> None:
    with pytest.raises(NotImplementedError, match="only the data tell"):
        choose(torch.zeros(3, device=CUDA))


def test_what_does_not_wait_is_not_counted(cuda: FakeCuda) -> None:
    x = torch.zeros(3, device=CUDA)
    pinned = torch.zeros(3).pin_memory()

    def work() -> None:
        (x.sum() / 2 + torch.full((), 3.0, device=CUDA) + x.new_zeros(3)).isfinite().all()
        pinned.to(CUDA, non_blocking=True)

    traffic = traffic_of(cuda, work)
    assert (traffic.waits.total(), traffic.copies.total()) == (0, 1)


def test_tensors_of_host_and_device_do_not_mix(cuda: FakeCuda) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.zeros(3, device=CUDA) + torch.zeros(3)


def test_gradients_flow(cuda: FakeCuda) -> None:
    linear = torch.nn.Linear(4, 4).to(CUDA)
    linear(torch.zeros(2, 4, device=CUDA)).sum().backward()
    assert linear.weight.grad is not None
    assert linear.weight.grad.device == CUDA
