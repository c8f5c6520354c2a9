"""Estimate a run's time and memory from its recipe and the size of its teacher.

Compute is counted in floating-point operations: two per parameter and position of a forward pass. A backward
pass costs two forward passes, or one where the parameters are frozen. Time is operations divided by the
throughput of a matrix product, which is measured here. Memory is parameters, gradients, optimizer state and
the activations saved for the backward pass. The estimates are rough.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from dlmone.core import (
    GENERATOR,
    OUTPUT,
    START,
    Average,
    GeneratorInput,
    Gradient,
    Network,
    Objective,
    Request,
    Sketch,
    Teacher,
)
from dlmone.core.request import Role, computes_output, merged, needs_float32, trained_in
from dlmone.evaluation.variants import steps_of
from dlmone.registry import Recipe
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute

from .update import stage_updates

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


@dataclass(frozen=True, slots=True)
class Effort:
    """The cost of one sample in one update.

    Attributes:
        passes: forward-pass equivalents in the run's precision.
        exact: forward-pass equivalents in float32, whatever the run's precision.
        trained: autograd graphs alive at once through trained networks.
        frozen: autograd graphs alive at once through frozen networks, for input gradients.
        start: whether the student's weights at the start of the stage are needed.
    """

    passes: float
    exact: float = 0
    trained: int = 0
    frozen: int = 0
    start: bool = False


def measure(teacher: Teacher) -> Sketch:
    """Return the size of a loaded teacher."""

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    space, network = teacher.space, teacher.network
    return Sketch(
        count(network),
        count(space),
        space.state_shape[0],
        teacher.feature_width,
        network.passes,
        network.takes_guidance,
    )


def effort(role: Role, requests: Iterable[Request], sketch: Sketch, before: float = 0.0) -> Effort:
    """Return the cost of an update whose objectives make these requests, θ's output included.

    A gradient with respect to the state adds one pass; with respect to trained parameters, another.

    Args:
        role: the role updated.
        requests: of all its objectives.
        sketch: how many passes an evaluation takes, and whether a guided one takes twice as many.
        before: θ's calls before the one whose output is trained (a few-step student's).
    """
    plan = merged(requests)
    output = computes_output(role, plan)
    called = output or any(request.state == GeneratorInput() for request in plan.values())
    passes, exact = before * called, 0.0
    trained = frozen = 0
    if output:
        passes, trained = (passes + 3, 1) if role == "generator" else (passes + 1, 0)
    for request in plan.values():
        if request.key == OUTPUT.key:
            continue
        trains = trained_in(role, request.network)
        backward = 2 if trains else int(request.gradient > Gradient.CONSTANT)
        calls = 1 if request.guidance == 1.0 or sketch.takes_guidance else 2
        # θ is called once; φ, ψ and their like estimate x0 for themselves first where they read an estimate.
        forward = 1 if _student(request.network) else sketch.passes
        if needs_float32(request, plan.values()):
            exact += calls * (forward + backward)
        else:
            passes += calls * (forward + backward)
        trained += calls * trains
        frozen += calls * (backward == 1)
    start = any(request.network is START for request in plan.values())
    return Effort(passes, exact, trained, frozen, start)


def _student(network: Network) -> bool:
    """Tell whether a network is θ, as it is, was, or is on average."""
    return _student(network.of) if isinstance(network, Average) else network in (GENERATOR, START)


def stage_effort(
    stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch, step: int | None = None
) -> dict[Role, Effort]:
    """Return the cost of a stage's updates by role; only roles with a term.

    ``step`` is the step at which they are made; without it all objectives are active.
    """
    # A few-step student makes calls before the trained one; k is uniform, so count the average.
    before = (stage.calls - 1) / (1 if stage.matching == "last" else 2)
    at = stage.steps if step is None else step
    return {
        role: effort(role, update.requests(at), sketch, before)
        for role, update in stage_updates(stage, objectives).items()
        if update.active(at)
    }


def passes(stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch) -> float:
    """Return the network passes of one iteration for each sample of its batch, with all objectives active.

    They are counted in forward passes of φ, whatever their precision: θ's update and ψ's updates, each with
    its backward passes (`effort`). ψ's warm-up, in which θ is not updated, is not considered.

    Args:
        stage: the stage.
        objectives: its objectives by name.
        sketch: the size of its networks, from `measure`.
    """
    updates = iteration_updates(stage)
    efforts = stage_effort(stage, objectives, sketch)
    return sum(updates[role] * (one.passes + one.exact) for role, one in efforts.items())


def iteration_updates(stage: Stage) -> dict[Role, int]:
    """Return how many updates of each role an iteration makes."""
    return {"generator": 1, "estimator": stage.estimator_steps}


def operations(
    recipe: Recipe,
    sketch: Sketch,
    efforts: Mapping[str, Mapping[Role, Effort]],
    sizes: Mapping[str, int],
    slowdown: float = 1.0,
) -> dict[str, float]:
    """Return the operations of each part of a run, in equivalents of the run's precision.

    Args:
        recipe: the recipe.
        sketch: the size of its networks.
        efforts: the stages' efforts by name.
        sizes: examples of each split. If unknown, work over a whole split is not counted.
        slowdown: how many times longer a pass takes in float32 than in the run's precision.
    """

    def examples(split: str, wanted: int | None) -> int:
        return min(sizes.get(split, wanted or 0), wanted or sizes.get(split, 0))

    one_pass = 2.0 * sketch.network * sketch.positions
    # Rounding to tokens, and logits, take a product with the whole embedding table.
    one_call = one_pass + 2.0 * sketch.space * sketch.positions
    parts: dict[str, float] = {}
    pretrain = recipe.teacher.pretrain
    if pretrain and not recipe.teacher.path:
        rounds = 1 + pretrain.steps // pretrain.validation.every
        samples = rounds * examples("valid", pretrain.validation.examples) * pretrain.validation.candidates
        calls = samples * pretrain.validation_steps
        parts["teacher"] = (3 * pretrain.steps * pretrain.batch + calls) * one_call
    for name, stage in recipe.stages.items():
        # The raw weights and their EMA are both validated.
        rounds = 1 + stage.steps // stage.validation.every
        samples = 2 * rounds * examples("valid", stage.validation.examples) * stage.validation.candidates
        calls = samples * stage.calls
        updates = iteration_updates(stage)
        made = sum(updates[role] * (one.passes + slowdown * one.exact) for role, one in efforts[name].items())
        parts[name] = stage.steps * stage.batch * made * one_pass + calls * one_call
    if tested := examples("test", recipe.evaluation.examples):
        table = recipe.evaluation
        early = max(len(recipe.stages) - 1, 0)
        students = sum(table.student_steps) + early if recipe.stages else 0
        varied = sum(steps_of(variant, table) for variant in table.variants.values())
        calls = tested * table.candidates * (sum(table.teacher_steps) + students + varied)
        parts["evaluation"] = calls * one_call
    return parts


def memory(
    recipe: Recipe, sketch: Sketch, efforts: Mapping[str, Mapping[Role, Effort]], compute: Compute
) -> float:
    """Return the peak memory in bytes, over the parts of a run."""

    def rows(batch: int) -> int:
        return min(batch, compute.microbatch or batch)

    needed = [4.0 * (sketch.network + sketch.space)]
    # Autocast keeps a copy of the weights in training.
    half = 2.0 * sketch.network if compute.bfloat16 else 0.0
    pretrain = recipe.teacher.pretrain
    if pretrain and not recipe.teacher.path:
        # Weights, gradient, two moments, EMA.
        once = Effort(passes=3, trained=1)
        needed.append(5 * needed[0] + half + activations(sketch, once, rows(pretrain.batch), compute))
    for name, stage in recipe.stages.items():
        # φ as loaded and as used, θ, its EMA, ψ; two moments each of θ and ψ; one gradient at a time.
        updates = efforts[name].values()
        networks = 10 + bool(stage.estimator_average) + any(one.start for one in updates)
        kept = max((activations(sketch, one, rows(stage.batch), compute) for one in updates), default=0.0)
        needed.append(4.0 * (networks * sketch.network + sketch.space) + half + kept)
    return max(needed)


def activations(sketch: Sketch, effort: Effort, rows: int, compute: Compute) -> float:
    """Return the bytes of activations that autograd saves in an update of ``rows`` samples, without dropout.

    Frozen networks run in float32, because their difference is taken.
    """
    layers = sketch.network / (LAYER_PARAMETERS * sketch.width**2)
    heads = sketch.width / HEAD_WIDTH if compute.device.type == "cpu" else 0.0

    def graph(numbers: int, half: bool) -> float:
        """Return the bytes per layer and position."""
        size = 2 if half else 4
        weights = heads * sketch.positions * (4 + 2 * half)  # in half precision a copy beside the softmax
        return sketch.width * ((numbers - NORM_NUMBERS) * size + NORM_NUMBERS * 4) + weights

    trained = effort.trained * graph(TRAINED_NUMBERS, compute.bfloat16)
    frozen = effort.frozen * graph(FROZEN_NUMBERS, half=False)
    return rows * sketch.positions * layers * (trained + frozen)


def product_rate(compute: Compute, width: int, rows: int = 2048, seconds: float = 0.3) -> float:
    """Return the operations per second of products [rows, width] × [width, 4·width] in a run's precision.

    The fastest round within ``seconds`` counts, as other processes may slow down some of them.
    """
    dtype = torch.bfloat16 if compute.bfloat16 else torch.float32
    left = torch.randn(rows, width, device=compute.device, dtype=dtype)
    right = torch.randn(width, 4 * width, device=compute.device, dtype=dtype)
    on_gpu = compute.device.type == "cuda"
    count = 20 if on_gpu else 1  # waiting for a GPU takes as long as one product
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        for _ in range(count):
            left @ right
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2.0 * rows * width * 4 * width * count / best
