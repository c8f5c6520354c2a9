"""Copies between host and device, and numbers that are read together."""

import torch

from dlmone.core import Batch, Noise
from dlmone.core.transfer import on_host
from dlmone.runtime.tensors import NamedNumbers

from .fake_cuda import CUDA, FakeCuda, traffic_of


def test_a_batch_is_fetched_and_read_back_without_waiting(cuda: FakeCuda) -> None:
    rows = Batch(("a",), torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.bool))

    def work() -> Batch:
        there = rows.to(CUDA)
        assert there.tokens_BL.device == CUDA
        assert on_host(there.tokens_BL).tolist() == [[5, 6, 7]]
        return there

    traffic = traffic_of(cuda, work)
    assert (traffic.waits.total(), traffic.copies.total()) == (0, 2)
    changed = work().tokens_BL.add_(1)
    assert traffic_of(cuda, lambda: on_host(changed)).waits.total() == 1, "it is not what was copied any more"
    assert traffic_of(cuda, lambda: on_host(rows.to(CUDA).tokens_BL + 1)).waits.total() == 1


def test_named_numbers_are_read_in_one_copy(cuda: FakeCuda) -> None:
    numbers = {name: torch.zeros((), device=CUDA) for name in "abc"}
    read = NamedNumbers({**numbers, "here": 3.0})
    assert traffic_of(cuda, lambda: read["a"] + read["b"] + read["here"]).waits.total() == 1
    assert traffic_of(cuda, lambda: dict(read)).waits.total() == 0


def test_what_was_read_is_remembered_until_it_changes(cuda: FakeCuda) -> None:
    value = torch.zeros(3, device=CUDA)
    assert traffic_of(cuda, lambda: [on_host(value) for _ in range(3)]).waits.total() == 1
    value += 1
    assert traffic_of(cuda, lambda: [on_host(value) for _ in range(3)]).waits.total() == 1


def test_the_host_knows_which_samples_were_chosen(cuda: FakeCuda) -> None:
    noise = Noise([(0, position) for position in range(64)], CUDA)

    def work() -> None:
        chosen_B = noise.chosen("self", 0.25)
        assert chosen_B.device == CUDA
        assert 0 < int(on_host(chosen_B).sum()) < 64

    assert traffic_of(cuda, work).waits.total() == 0
