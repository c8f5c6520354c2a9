"""`dlmone check`'s estimate beside iterations that are run: seconds and bytes.

    python benchmarks/estimate.py RECIPE [--profile NAME] [--set KEY=VALUE] [--iterations 5]

The teacher is built at random weights. Of pretraining and of each stage a few iterations are run after one
that does not count. The median is compared with the estimate of an iteration, and the growth of the process's
memory with that of what autograd keeps. Above 1 it takes more than was estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter

import click

from dlmone.benchmark.memory import peak_memory
from dlmone.registry import Registry, load_recipe
from dlmone.runtime.device import Compute
from dlmone.training.distillation import Distillation
from dlmone.training.estimate import (
    EFFICIENCY,
    Effort,
    activations,
    measure,
    product_rate,
    stage_effort,
)
from dlmone.training.pretraining import Pretraining
from dlmone.training.stage import stage_objectives
from dlmone.training.tokenized import TokenizedExamples


def iteration(advance: Callable[[], object], count: int) -> float:
    """Return the median seconds of an iteration, after one that does not count."""
    advance()
    taken = []
    for _ in range(count):
        started = perf_counter()
        advance()
        taken.append(perf_counter() - started)
    return median(taken)


@click.command()
@click.argument("recipe_name", metavar="RECIPE")
@click.option("--profile")
@click.option("--set", "overrides", multiple=True)
@click.option("--iterations", default=5, show_default=True)
def main(recipe_name: str, profile: str | None, overrides: tuple[str, ...], iterations: int) -> None:
    registry = Registry.discover()
    recipe = load_recipe(recipe_name, registry=registry, profile=profile, overrides=overrides).recipe
    compute = Compute.start(recipe.compute)
    examples = registry.create("data", recipe.data, "data").split("train")
    slot = recipe.teacher
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    teacher = registry.load("teachers", slot.use).build(options, examples).to(compute.device)
    sketch = measure(teacher)
    rate = EFFICIENCY * product_rate(compute, sketch.width)
    exact = EFFICIENCY * product_rate(replace(compute, bfloat16=False), sketch.width)
    one_pass = 2.0 * sketch.network * sketch.positions
    print(f"{compute.describe()}, {rate / 1e9:.0f} billion operations a second")

    def row(name: str, advance: Callable[[], object], passes: float, batch: int, kept: float) -> None:
        seconds, expected = iteration(advance, iterations), batch * passes * one_pass / rate
        grown = peak_memory(advance, compute.device)
        time = f"{seconds:.3f} s, estimate {expected:.3f}, × {seconds / expected:.2f}"
        memory = f"{grown / 2**20:.0f} MiB, × {grown / kept:.2f} of what autograd keeps" if grown else ""
        print(f"{name}: {time}; {memory}", flush=True)

    def rows(batch: int) -> int:
        return min(batch, compute.microbatch or batch)

    if slot.pretrain:
        pretraining = Pretraining(teacher, slot.pretrain, examples, compute, recipe.seed)
        batch = slot.pretrain.batch
        kept = activations(sketch, Effort(3, trained=1), rows(batch), compute)
        row("teacher", lambda: pretraining.advance(False), 3 + sketch.space / sketch.network, batch, kept)
    tokenized = TokenizedExamples(teacher.space, examples)
    for name, stage in recipe.stages.items():
        # All updates from the first iteration on.
        stage = stage.model_copy(update={"estimator_warmup": 0})
        objectives = stage_objectives(registry, recipe, name)
        efforts = stage_effort(stage, objectives, sketch)
        updates = {"generator": 1, "estimator": stage.estimator_steps}
        passes = sum(updates[role] * (one.passes + one.exact * rate / exact) for role, one in efforts.items())
        kept = max(activations(sketch, one, rows(stage.batch), compute) for one in efforts.values())
        trained = Distillation(name, stage, teacher, objectives, tokenized, compute, recipe.seed)
        row(name, lambda trained=trained: trained.advance(False), passes, stage.batch, kept)  # type: ignore[misc]


if __name__ == "__main__":
    main()
