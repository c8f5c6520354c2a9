"""What a run will take, from its recipe and the size of its teacher alone. Rough, and to be called so.

Work is counted in multiplications and additions, two for each parameter and position of a pass. A backward
pass costs two forward passes, one where the parameters are frozen. Time is work divided by the rate of one
matrix product, timed here. Memory is parameters, what is kept of each for the updates, and activations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from dlmone.core import Needs, Objective, Route, Sketch, Teacher
from dlmone.core.objective import Role
from dlmone.evaluation.variants import steps_of
from dlmone.registry import Recipe
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute

from .update import Update, WeightedTerm

#: Networks reach about this share of a plain product's rate: normalisation, softmax and copying take time.
EFFICIENCY = 0.5
#: A transformer layer of width w has about 12·w² parameters, and keeps for its backward pass about 17·w
#: numbers a position and three copies of its attention weights, in heads about 64 wide.
LAYER_PARAMETERS, LAYER_NUMBERS, ATTENTION_COPIES, HEAD_WIDTH = 12, 17, 3, 64


@dataclass(frozen=True, slots=True)
class Effort:
    """What one sample costs in one update: passes in units of a forward pass, and graphs kept at once."""

    passes: int
    graphs: int


def measure(teacher: Teacher) -> Sketch:
    """Return the size of a teacher that is there."""

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    space = teacher.space
    return Sketch(count(teacher.network), count(space), space.state_shape[0], teacher.feature_width)


def effort(role: Role, needs: Needs) -> Effort:
    """Return what an update costs whose objectives need this."""
    through_psi = needs.estimator is Route.DIFFERENTIABLE or needs.fake_logits
    if role == "estimator":
        trained = through_psi + needs.real_logits
        return Effort(passes=1 + needs.teacher + 3 * trained, graphs=trained)
    psi = 2 if through_psi else needs.estimator
    through_phi = needs.teacher is Route.DIFFERENTIABLE
    passes = 3 + needs.start + needs.teacher + psi + needs.real_logits
    return Effort(passes, graphs=1 + through_phi + through_psi)


def stage_effort(stage: Stage, objectives: Mapping[str, Objective]) -> Effort:
    """Return what one iteration of a stage costs, all objectives taking part."""
    slots = stage.objectives
    weights = {
        "generator": {key: slot.generator_weight for key, slot in slots.items()},
        "estimator": {key: slot.estimator_weight for key, slot in slots.items()},
    }
    efforts = {}
    roles: tuple[Role, ...] = ("generator", "estimator")
    for role in roles:
        update = Update(role, (WeightedTerm(key, one, weights[role][key]) for key, one in objectives.items()))
        efforts[role] = effort(role, update.needs(0)) if update.terms else Effort(0, 0)
    theta, psi = efforts["generator"], efforts["estimator"]
    passes = theta.passes + stage.estimator_steps * psi.passes
    return Effort(passes, max(theta.graphs, psi.graphs))


def operations(
    recipe: Recipe, sketch: Sketch, efforts: Mapping[str, Effort], sizes: Mapping[str, int]
) -> dict[str, float]:
    """Return the operations of each part of a run.

    Args:
        recipe: the recipe.
        sketch: the size of its networks.
        efforts: the stages' efforts by name.
        sizes: examples of each split. Where they are not known, what takes a whole split is left out.
    """

    def examples(split: str, wanted: int | None) -> int:
        return min(sizes.get(split, wanted or 0), wanted or sizes.get(split, 0))

    one_pass = 2.0 * sketch.network * sketch.positions
    # Rounding to tokens, and logits, take a product with the whole table of the space.
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
        parts[name] = stage.steps * stage.batch * efforts[name].passes * one_pass + calls * one_call
    if tested := examples("test", recipe.evaluation.examples):
        table = recipe.evaluation
        early = max(len(recipe.stages) - 1, 0)
        students = sum(table.student_steps) + early if recipe.stages else 0
        varied = sum(steps_of(variant, table) for variant in table.variants.values())
        calls = tested * table.candidates * (sum(table.teacher_steps) + students + varied)
        parts["evaluation"] = calls * one_call
    return parts


def memory(recipe: Recipe, sketch: Sketch, efforts: Mapping[str, Effort], bfloat16: bool) -> float:
    """Return the bytes that the hungriest part of a run takes."""
    layers = sketch.network / (LAYER_PARAMETERS * sketch.width**2)
    attention = ATTENTION_COPIES * sketch.positions * sketch.width / HEAD_WIDTH
    numbers = layers * (LAYER_NUMBERS * sketch.width + attention) * sketch.positions

    def activations(batch: int, graphs: int) -> float:
        rows = min(batch, recipe.compute.microbatch or batch)
        return rows * graphs * numbers * (2 if bfloat16 else 4)

    needed = [4.0 * (sketch.network + sketch.space)]
    pretrain = recipe.teacher.pretrain
    if pretrain and not recipe.teacher.path:
        # Weights, gradient, two moments, EMA.
        needed.append(5 * needed[0] + activations(pretrain.batch, 1))
    for name, stage in recipe.stages.items():
        # φ as loaded and as used, θ, its EMA, ψ; two moments each of θ and ψ; one gradient at a time.
        state = 4.0 * (10 * sketch.network + sketch.space)
        needed.append(state + activations(stage.batch, efforts[name].graphs))
    return max(needed)


def product_rate(compute: Compute, width: int, rows: int = 2048, seconds: float = 0.3) -> float:
    """Return the operations a second of products [rows, width] × [width, 4·width] in a run's precision.

    It is that of the fastest round within ``seconds``: others on the machine slow some down.
    """
    dtype = torch.bfloat16 if compute.bfloat16 else torch.float32
    left = torch.randn(rows, width, device=compute.device, dtype=dtype)
    right = torch.randn(width, 4 * width, device=compute.device, dtype=dtype)
    on_gpu = compute.device.type == "cuda"
    count = 20 if on_gpu else 1  # a GPU is waited for, which takes as long as a product
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        for _ in range(count):
            left @ right
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2.0 * rows * width * 4 * width * count / best
