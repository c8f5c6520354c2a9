"""`dlmone check`'s estimate beside iterations that are run: seconds and bytes.

    python benchmarks/estimate.py RECIPE [--profile NAME] [--set KEY=VALUE] [--stage NAME] [--iterations 5]
    python benchmarks/estimate.py --all        every shipped recipe and profile whose parts are here

The teacher is built at random weights. Pretraining and each stage are first estimated as `check` does: from
the passes that they request and an iteration of a few rows. `--seconds` bounds that iteration; with few rows
the estimate has far to go. Then iterations of the recipe's own batch are run: the median of their seconds,
and the peak of what is allocated from their beginning on, the loaded teacher included. Ratios are measured
by estimated. On a CPU, seconds are those of all threads: others' work on the machine changes them less than
wall time.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter, process_time

import click

from dlmone.core import DlmoneError
from dlmone.generation.inference import collate_fitting
from dlmone.registry import Registry, load_recipe
from dlmone.registry.loading.files import read_recipe, shipped_recipes
from dlmone.runtime.device import Compute
from dlmone.runtime.memory import peak_allocated
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.estimation.calibration import calibrate, seconds_of, timed_rows
from dlmone.training.estimation.effort import measure, passes, stage_effort
from dlmone.training.estimation.plan import Plan
from dlmone.training.estimation.trial import SECONDS, run_trials
from dlmone.training.pretraining import Pretraining
from dlmone.training.stage import stage_objectives


def compare(
    registry: Registry,
    name: str,
    profile: str | None,
    overrides: tuple[str, ...],
    only: str | None,
    count: int,
    limit: float,
) -> None:
    """Print one line for each part of a recipe's profile that trains.

    Raises:
        DlmoneError: a part of it is not here.
    """
    recipe = load_recipe(name, registry=registry, profile=profile, overrides=overrides).recipe
    if only:
        recipe = recipe.model_copy(update={"stages": {only: recipe.stages[only]}})
    compute = Compute.start(recipe.compute)
    clock = process_time if compute.device.type == "cpu" else perf_counter
    examples = registry.create("data", recipe.data, "data").split("train")
    slot = recipe.teacher
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    teacher = registry.load("teachers", slot.use).build(options, examples).to(compute.device)
    sketch = measure(teacher)
    objectives = {stage: stage_objectives(registry, recipe, stage) for stage in recipe.stages}
    efforts = {key: stage_effort(stage, objectives[key], sketch) for key, stage in recipe.stages.items()}
    most = max(
        [stage.batch for stage in recipe.stages.values()] + [slot.pretrain.batch if slot.pretrain else 1]
    )
    rows = timed_rows(sketch, min(most, compute.microbatch or most))
    batch, _ = collate_fitting(teacher.space, examples[: 4 * rows])
    assert batch is not None
    costs = calibrate(teacher, batch[:rows], compute, clock)
    trials = run_trials(recipe, registry, teacher, examples, compute, costs, sketch, limit, clock)
    plan = Plan(recipe, sketch, efforts, costs, compute, trials)
    loaded = 4 * (sketch.network + sketch.space)

    def begin(part: str) -> Pretraining | Distillation:
        if part == "teacher":
            assert slot.pretrain is not None
            return Pretraining(teacher, slot.pretrain, examples, compute, recipe.seed)
        # All updates from the first iteration on.
        stage = recipe.stages[part].model_copy(update={"estimator_warmup": 0})
        tokenized = TokenizedExamples(teacher.space, examples)
        return Distillation(part, stage, teacher, objectives[part], tokenized, compute, recipe.seed)

    for part, trial in trials.items():
        trained: list[Pretraining | Distillation] = []

        def first() -> None:
            trained.append(begin(part))  # noqa: B023
            for _ in range(2):
                trained[0].advance(norms=False)  # noqa: B023

        held = peak_allocated(first, compute.device) + loaded
        taken = median(
            seconds_of(lambda: trained[0].advance(norms=False), compute.device, clock)  # noqa: B023
            for _ in range(count)
        )
        own = slot.pretrain.batch if part == "teacher" and slot.pretrain else recipe.stages[part].batch
        made = 3.0 if part == "teacher" else passes(recipe.stages[part], objectives[part], sketch)
        expected, kept = plan.iteration_seconds(part), plan.bytes(part)
        print(
            f"| {name}{f', {profile}' if profile else ''} | {part} | {made:g} | {trial.rows} of {own} "
            f"| {expected:.3f} | {taken:.3f} | {taken / expected:.2f} "
            f"| {kept / 2**20:.0f} | {held / 2**20:.0f} | {held / kept:.2f} |",
            flush=True,
        )


@click.command()
@click.argument("recipe_name", metavar="RECIPE", required=False)
@click.option("--profile")
@click.option("--set", "overrides", multiple=True)
@click.option("--stage", help="only this one, and pretraining")
@click.option("--iterations", default=5, show_default=True)
@click.option("--seconds", default=SECONDS, show_default=True, help="of the iteration that is tried")
@click.option("--all", "every", is_flag=True)
def main(
    recipe_name: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    stage: str | None,
    iterations: int,
    seconds: float,
    every: bool,
) -> None:
    registry = Registry.discover()
    columns = ["recipe", "part", "passes", "rows tried"]
    columns += [f"{what}, {unit}" for unit in ("s", "MiB") for what in ("estimate", "measured", "ratio")]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    if not every:
        compare(registry, recipe_name or "qqp", profile, overrides, stage, iterations, seconds)
        return
    for name in shipped_recipes():
        for one in [*read_recipe(name).profiles] or [None]:
            try:
                compare(registry, name, one, overrides, stage, iterations, seconds)
            except DlmoneError as error:
                print(f"| {name}, {one} | not here: {error} | | | | | | | | |")


if __name__ == "__main__":
    main()
