"""What passes between host and device in a step, counted on fake CUDA tensors and held to a budget.

Where the host waits, the device runs dry. The counts need a CUDA build of torch, but no device:

    pip install torch     # from PyPI, on Linux: the CUDA build
    pytest tests/gpu
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

if torch.version.cuda is None:
    pytest.skip("needs a CUDA build of torch (a device is not needed)", allow_module_level=True)

from dlmone.core import Batch, DiffusionGenerator, Example, Generator, SampledGenerator, Teacher
from dlmone.core.transfer import on_host
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.registry import Registry
from dlmone.registry.schema import Pretrain, SamplerSlot, Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.runtime.tensors import NamedNumbers
from dlmone.training.checkpoint_writer import CheckpointWriter
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining
from dlmone.training.tokenized import TokenizedExamples

from .fake_cuda import CUDA, FakeCuda, Traffic, traffic_of

#: (waits of the host, asynchronous copies to the device) of what a step does where nothing is logged.
BUDGET = {
    "pretraining": (1, 8),
    "estimator": (1, 8),
    "generator": (1, 5),
    "sampler": (1, 3),
    "one step": (1, 3),
}
STAGE = {
    "steps": 1000,
    "batch": 8,
    "t_init": 1490,
    "t_max": 1976,
    "generator": {"lr": 1e-5},
    "estimator": {"lr": 1e-5},
    "objectives": {
        "score": {"use": "sid", "generator_weight": 0.5, "estimator_weight": 0.5, "mu_lag": 0.5},
        "adversarial": {"use": "diffusion_gan", "generator_weight": 0.5, "estimator_weight": 0.5},
    },
}
SIZES = {
    "seq_len": 24, "hidden_dim": 16, "hidden_t_dim": 16, "width": 32, "layers": 1, "heads": 2,
    "tokenizer": "words", "length_groups": 4,
}  # fmt: skip
#: Fake tensors are not seen by autocast; its casts pass nothing between host and device.
COMPUTE = Compute(CUDA, bfloat16=False, world=World())


class FirstOfTwo(World):
    """The first of two processes. NCCL adds up on the device, behind the work that is there."""

    def __init__(self) -> None:
        super().__init__(0, 2)

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        return lambda: None

    def gather(self, value: Any) -> list[Any]:
        return [value]


PROCESSES = pytest.mark.parametrize(
    "compute", [COMPUTE, replace(COMPUTE, world=FirstOfTwo())], ids=["1", "2"]
)
REGISTRY = Registry.discover()


def examples() -> list[Example]:
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(64)]
    return [Example(str(i), *pair) for i, pair in enumerate(zip(texts[::2], texts[1::2], strict=True))]


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    # A fake tensor has no data that a kernel could read. Kernels are checked by themselves.
    def best_row(x_ND: Tensor, *table: Any) -> Tensor:
        return x_ND.new_zeros(len(x_ND), dtype=torch.int64)

    with FakeCuda() as mode, patch("dlmone.plugins.diffuseq.kernels.best_row", best_row):
        yield mode


def new_teacher() -> Teacher:
    options = REGISTRY.options("teachers", "diffuseq", SIZES, "teacher")
    teacher: Teacher = REGISTRY.load("teachers", "diffuseq").build(options, examples())
    return teacher.to(CUDA)


def assert_within(name: str, traffic: Traffic) -> None:
    """Compare exactly, so that the table is also what a step costs."""
    print(f"{name}: {traffic}")
    assert (traffic.waits.total(), traffic.copies.total()) == BUDGET[name], str(traffic)


@PROCESSES
def test_pretraining_keeps_its_budget(compute: Compute, cuda: FakeCuda) -> None:
    config = Pretrain.model_validate({"steps": 100, "batch": 8, "optimizer": {"lr": 1e-4}})
    trained = Pretraining(new_teacher(), config, examples(), compute, seed=0)
    for _ in range(2):  # tables and moments are made
        trained.advance(False)
    assert_within("pretraining", traffic_of(cuda, lambda: trained.advance(False)))


def new_stage(compute: Compute) -> Distillation:
    teacher, stage = new_teacher(), Stage.model_validate(STAGE)
    objectives = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
    tokenized = TokenizedExamples(teacher.space, examples())
    return Distillation("stage-1", stage, teacher, objectives, tokenized, compute, seed=0)


@PROCESSES
def test_both_updates_of_sid_with_diffusion_gan_keep_theirs(compute: Compute, cuda: FakeCuda) -> None:
    trained = new_stage(compute)
    for _ in range(2):
        trained.advance(False)
    assert_within("estimator", traffic_of(cuda, lambda: trained._estimator_step(2, False)))
    assert_within("generator", traffic_of(cuda, lambda: trained._generator_step(False)))


def test_a_checkpoint_is_copied_behind_the_devices_work(cuda: FakeCuda, tmp_path: Path) -> None:
    """The host waits for three numbers alone: SiD's lag, its updates, and how much was not finite."""
    trained = new_stage(COMPUTE)
    trained.advance(True)
    with CheckpointWriter(tmp_path, 1, lambda *_: None) as writer:
        traffic = traffic_of(cuda, lambda: writer.save(trained.checkpoint({})))
        print(f"checkpoint: {traffic}")
        assert traffic.waits.total() == 3, str(traffic)
        state = trained.checkpoint({}).tensors.values()
        assert traffic.copies.total() == sum(tensor.device == CUDA for tensor in state)


@pytest.mark.parametrize("name", ["sampler", "one step"])
def test_inference_keeps_its_budget(name: str, cuda: FakeCuda) -> None:
    teacher = new_teacher().eval().requires_grad_(False)
    generator: Generator
    if name == "sampler":
        sampler = REGISTRY.create("samplers", SamplerSlot.model_validate({"use": "ddim"}))
        generator, steps = SampledGenerator(teacher.network, teacher.space, sampler), 4
    else:
        generator, steps = DiffusionGenerator(teacher.network, teacher.space, 1490), 1
    rows = teacher.space.collate(examples()[:8])
    call = lambda: generate_batch(generator, rows, COMPUTE, SamplingOptions(steps))  # noqa: E731
    call()
    assert_within(name, traffic_of(cuda, call))


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


def test_a_logged_step_waits_once_more(cuda: FakeCuda) -> None:
    config = Pretrain.model_validate({"steps": 100, "batch": 8, "optimizer": {"lr": 1e-4}})
    trained = Pretraining(new_teacher(), config, examples(), COMPUTE, seed=0)
    trained.advance(True)
    waits, _ = BUDGET["pretraining"]
    assert traffic_of(cuda, lambda: dict(trained.advance(True))).waits.total() == waits + 1


def test_tensors_of_host_and_device_do_not_mix(cuda: FakeCuda) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.zeros(3, device=CUDA) + torch.zeros(3)


def test_gradients_flow(cuda: FakeCuda) -> None:
    linear = torch.nn.Linear(4, 4).to(CUDA)
    linear(torch.zeros(2, 4, device=CUDA)).sum().backward()
    assert linear.weight.grad is not None
    assert linear.weight.grad.device == CUDA
