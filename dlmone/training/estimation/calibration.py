"""Say what a network pass takes on this machine: seconds and bytes, measured or from its operations."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from dlmone.core import Batch, Sketch, Teacher
from dlmone.core.step.request import Role
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute

from .effort import Effort, Passes, iteration_updates

#: Share of a plain matrix product's throughput that a network reaches; the rest is norms, softmax, copies.
EFFICIENCY = 0.5
#: A transformer layer of width w has about 12·w² parameters.
LAYER_PARAMETERS = 12
#: Activations that autograd saves per layer and position, in units of w numbers: input 1, queries, keys and
#: values 3, attention output 1, feed-forward input 1, hidden values before and after the activation 4 + 4,
#: LayerNorm inputs 2. With frozen parameters, linear layers save no inputs.
TRAINED_NUMBERS, FROZEN_NUMBERS = 16, 10
#: The part of these that autocast keeps in float32: the LayerNorm inputs.
NORM_NUMBERS = 2
#: Width of an attention head. Attention on the CPU saves its weights; fused kernels on a GPU do not.
HEAD_WIDTH = 64
#: Operations of the passes that are timed, at most, so that `dlmone check` takes seconds.
MEASURED_OPERATIONS = 2e10


@dataclass(frozen=True, slots=True)
class Costs:
    """What one sample's pass takes, by how far back it goes, in the run's precision and in float32.

    Attributes:
        working, float32: seconds.
        kept, kept_float32: bytes that autograd keeps for the way back.
        measured: whether a network of this kind was timed.
    """

    working: Passes
    float32: Passes
    kept: Passes
    kept_float32: Passes
    measured: bool

    def seconds(self, effort: Effort) -> float:
        """Return the seconds of one sample in one update."""
        return _dot(effort.working, self.working) + _dot(effort.float32, self.float32)

    def bytes(self, effort: Effort) -> float:
        """Return the bytes of activations of one sample in one update, all graphs alive at once."""
        return _dot(effort.working, self.kept) + _dot(effort.float32, self.kept_float32)


def _dot(count: Passes, cost: Passes) -> float:
    return count.forward * cost.forward + count.through * cost.through + count.trained * cost.trained


def iteration_cost(stage: Stage, efforts: Mapping[Role, Effort], costs: Costs) -> float:
    """Return the seconds of one sample in the passes of an iteration: of its updates of ψ and of θ."""
    updates = iteration_updates(stage)
    return sum(updates[role] * costs.seconds(one) for role, one in efforts.items())


def pretraining_cost(sketch: Sketch, costs: Costs) -> float:
    """Return the seconds of one sample in pretraining: a trained pass, and logits over the table."""
    return (1 + sketch.space / sketch.network) * costs.working.trained


def timed_rows(sketch: Sketch, rows: int) -> int:
    """Return how many of ``rows`` samples to time: so many that it takes seconds."""
    return max(1, min(rows, int(MEASURED_OPERATIONS / (2.0 * sketch.network * sketch.positions))))


def calibrate(
    teacher: Teacher, batch: Batch, compute: Compute, clock: Callable[[], float] = time.perf_counter
) -> Costs:
    """Time passes of a teacher's network over a batch, and count what autograd keeps for them."""
    teacher = copy.deepcopy(teacher).to(compute.device)
    with torch.no_grad():  # as in distillation, where a space is frozen
        batch = teacher.space.encode(batch.to(compute.device))
    found: list[tuple[Passes, Passes]] = []
    for bfloat16 in dict.fromkeys((False, compute.bfloat16)):
        passes = [
            _measured(teacher, batch, replace(compute, bfloat16=bfloat16), kind, clock) for kind in range(3)
        ]
        seconds, kept = (Passes(*values) for values in zip(*passes, strict=True))
        found.append((seconds, kept))
    (float32, kept_float32), (working, kept) = found[0], found[-1]
    return Costs(working, float32, kept, kept_float32, measured=True)


def _measured(
    teacher: Teacher, batch: Batch, compute: Compute, kind: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the least seconds of a pass and the bytes it keeps, a sample: forward, through or trained."""
    space, network = teacher.space, teacher.network
    network.requires_grad_(kind == 2)
    space.requires_grad_(False)
    t_B = space.schedule.tensor(space.schedule.time_of_quantile(0.5), len(batch), compute.device)
    with torch.no_grad():
        e = space.embed(batch)
    weights = (*network.parameters(), *space.parameters())
    own = {p.untyped_storage().data_ptr() for p in weights}
    # Autocast's copies of weights do not grow with the batch.
    shapes = {shape for p in weights if p.dim() > 1 for shape in (p.shape, p.shape[::-1])}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.shape not in shapes:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def once() -> None:
        e_t = e.detach().requires_grad_(kind == 1)
        autocast = compute.autocast() if compute.bfloat16 else nullcontext()
        with torch.set_grad_enabled(kind > 0), autocast:
            x0 = network.denoise(e_t, t_B, batch).x0
        if kind:
            x0.square().sum().backward()  # type: ignore[no-untyped-call]
        network.zero_grad()

    network.train(kind == 2)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        once()
    seconds = least_seconds(once, compute.device, clock=clock)
    network.eval()
    return seconds / len(batch), sum(kept.values()) / len(batch)


def least_seconds(
    run: Callable[[], object],
    device: torch.device,
    seconds: float = 0.3,
    at_least: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the least time of a call's runs within ``seconds``: other processes slow down some of them."""
    best, started, count = float("inf"), clock(), 0
    while count < at_least or clock() - started < seconds:
        best, count = min(best, seconds_of(run, device, clock)), count + 1
    return best


def seconds_of(run: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """Return the time of a call, with what it leaves the device to do."""
    begun = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begun


def from_operations(sketch: Sketch, compute: Compute) -> Costs:
    """Estimate the costs of a network that cannot be built here from its size.

    A forward pass is two operations per parameter and position; the throughput is that of a matrix product,
    which is measured.
    """
    one_pass = 2.0 * sketch.network * sketch.positions
    working, float32 = (
        one_pass / (EFFICIENCY * product_rate(one, sketch.width))
        for one in (compute, replace(compute, bfloat16=False))
    )
    slower = max(float32, working)
    return Costs(
        Passes(working, 2 * working, 3 * working),
        Passes(slower, 2 * slower, 3 * slower),
        _kept(sketch, compute, compute.bfloat16),
        _kept(sketch, compute, half=False),
        measured=False,
    )


def _kept(sketch: Sketch, compute: Compute, half: bool) -> Passes:
    """Return the bytes of activations that autograd keeps of a sample, without dropout."""
    layers = sketch.network / (LAYER_PARAMETERS * sketch.width**2)
    heads = sketch.width / HEAD_WIDTH if compute.device.type == "cpu" else 0.0
    size = 2 if half else 4
    weights = heads * sketch.positions * (4 + 2 * half)  # in half precision a copy beside the softmax

    def graph(numbers: int) -> float:
        kept = sketch.width * ((numbers - NORM_NUMBERS) * size + NORM_NUMBERS * 4) + weights
        return sketch.positions * layers * kept

    return Passes(0.0, graph(FROZEN_NUMBERS), graph(TRAINED_NUMBERS))


def product_rate(compute: Compute, width: int, rows: int = 2048) -> float:
    """Return the operations per second of products [rows, width] × [width, 4·width] in a run's precision."""
    dtype = torch.bfloat16 if compute.bfloat16 else torch.float32
    left = torch.randn(rows, width, device=compute.device, dtype=dtype)
    right = torch.randn(width, 4 * width, device=compute.device, dtype=dtype)
    count = 20 if compute.device.type == "cuda" else 1  # waiting for a GPU takes as long as one product

    def products() -> None:
        for _ in range(count):
            left @ right

    return 2.0 * rows * width * 4 * width * count / least_seconds(products, compute.device)
