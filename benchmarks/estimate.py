"""`dlmone check`'s estimate beside iterations that are run: seconds and bytes.

    python benchmarks/estimate.py RECIPE [--profile NAME] [--set KEY=VALUE] [--stage NAME] [--iterations 5]
    python benchmarks/estimate.py --all        every shipped recipe and profile whose parts are here

The teacher is built at random weights. Of pretraining and of each stage some iterations are run, and before
and after them the passes are timed on which the estimate rests. The least time of an iteration is compared
with the estimate from the least times of passes: other processes slow down some of both. The growth of the
process's memory in an iteration is compared with what autograd keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, process_time

import click

from dlmone.benchmark.memory import peak_memory
from dlmone.core import DlmoneError
from dlmone.generation.inference import collate_fitting
from dlmone.registry import Registry, load_recipe
from dlmone.registry.files import read_recipe, shipped_recipes
from dlmone.runtime.device import Compute
from dlmone.training.calibration import calibrate, least_seconds, timed_rows
from dlmone.training.distillation import Distillation
from dlmone.training.effort import measure, passes, stage_effort
from dlmone.training.estimate import Plan, iteration_seconds
from dlmone.training.pretraining import Pretraining
from dlmone.training.stage import stage_objectives
from dlmone.training.tokenized import TokenizedExamples


def compare(
    registry: Registry,
    name: str,
    profile: str | None,
    overrides: tuple[str, ...],
    only: str | None,
    count: int,
) -> None:
    """Print one line for each part of a recipe's profile that trains.

    Raises:
        DlmoneError: a part of it is not here.
    """
    recipe = load_recipe(name, registry=registry, profile=profile, overrides=overrides).recipe
    compute = Compute.start(recipe.compute)
    # Of all threads; others' work on the machine changes it less than wall time.
    clock = process_time if compute.device.type == "cpu" else perf_counter
    examples = registry.create("data", recipe.data, "data").split("train")
    slot = recipe.teacher
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    teacher = registry.load("teachers", slot.use).build(options, examples).to(compute.device)
    sketch, where = measure(teacher), f"{name}{f', profile {profile}' if profile else ''}"
    objectives = {stage: stage_objectives(registry, recipe, stage) for stage in recipe.stages}
    efforts = {key: stage_effort(stage, objectives[key], sketch) for key, stage in recipe.stages.items()}

    def plan(batch: int) -> Plan:
        rows = timed_rows(sketch, min(batch, compute.microbatch or batch))
        timed, _ = collate_fitting(teacher.space, examples[: 4 * rows])
        assert timed is not None
        return Plan(recipe, sketch, efforts, calibrate(teacher, timed[:rows], compute, clock), compute)

    def row(
        part: str,
        advance: Callable[[], object],
        batch: int,
        made: float,
        seconds: Callable[[Plan], float],
        kept: Callable[[Plan], float],
    ) -> None:
        before = plan(batch)
        taken = least_seconds(advance, compute.device, at_least=count, clock=clock)
        after = plan(batch)
        expected = min(seconds(before), seconds(after))
        grown = peak_memory(advance, compute.device)
        memory = f"{grown / 2**20:.0f} MiB, {grown / kept(after):.2f} of the estimate" if grown else ""
        print(
            f"| {where} | {part} | {batch} | {made:g} | {taken:.3f} | {expected:.3f} "
            f"| {taken / expected:.2f} | {memory} |",
            flush=True,
        )

    if slot.pretrain and only is None:
        pretraining = Pretraining(teacher, slot.pretrain, examples, compute, recipe.seed)
        row(
            "teacher",
            lambda: pretraining.advance(False),
            slot.pretrain.batch,
            3,
            Plan.pretraining_seconds,
            Plan.pretraining_activations,
        )
    tokenized = TokenizedExamples(teacher.space, examples)
    for key, stage in recipe.stages.items():
        if only not in (None, key):
            continue
        # All updates from the first iteration on.
        stage = stage.model_copy(update={"estimator_warmup": 0})
        terms = objectives[key]
        trained = Distillation(key, stage, teacher, terms, tokenized, compute, recipe.seed)
        row(
            key,
            lambda trained=trained: trained.advance(False),  # type: ignore[misc]
            stage.batch,
            passes(stage, terms, sketch),
            lambda one, stage=stage, key=key: iteration_seconds(stage, efforts[key], one.costs),  # type: ignore[misc]
            lambda one, key=key: one.activations(key),  # type: ignore[misc]
        )


@click.command()
@click.argument("recipe_name", metavar="RECIPE", required=False)
@click.option("--profile")
@click.option("--set", "overrides", multiple=True)
@click.option("--stage", help="only this one")
@click.option("--iterations", default=5, show_default=True)
@click.option("--all", "every", is_flag=True)
def main(
    recipe_name: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    stage: str | None,
    iterations: int,
    every: bool,
) -> None:
    registry = Registry.discover()
    print("| recipe | part | batch | passes | seconds | estimate | ratio | memory |")
    print("|---|---|---|---|---|---|---|---|")
    if not every:
        compare(registry, recipe_name or "qqp", profile, overrides, stage, iterations)
        return
    for name in shipped_recipes():
        for one in [*read_recipe(name).profiles] or [None]:
            try:
                compare(registry, name, one, overrides, stage, iterations)
            except DlmoneError as error:
                print(f"| {name}, {one} | not here: {error} | | | | | | |")


if __name__ == "__main__":
    main()
