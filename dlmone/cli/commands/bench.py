"""``dlmone bench``: measure the time per sample and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.generation.inputs import examples_of_file
from dlmone.registry.fields.paths import trouble

from ..counts import BATCH, CALLS, RUNS, THREADS, CountList
from ..inference import device_option
from ..output import console, print_columns, print_json
from ..paths import LocalPath
from ..request import Request, plugin_option

if TYPE_CHECKING:
    from dlmone.benchmark.results import BenchResults, RowResult
    from dlmone.benchmark.timing import Subject
    from dlmone.registry import Registry

#: The conditions unless --input names a file.
TEXTS = ("how can i be a good geologist ?", "what is the best way to learn a language ?")
PRECISIONS = ("auto", "float32", "bfloat16")


@click.command(short_help="Time models or a recipe, beside baselines.")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--profile", metavar="NAME", help="Of a recipe.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a key of a recipe.")
@click.option(
    "--against",
    metavar="NAME[:KEY=VALUE,…]",
    multiple=True,
    help="A generator plugin as a baseline: gpt2.",
)
@click.option(
    "--graph",
    "graphs",
    metavar="FOLDER",
    multiple=True,
    type=LocalPath(exists=True, file_okay=False),
    help="What dlmone export --to wrote from a MODEL, run by its own runtime on the CPU; repeatable.",
)
@click.option(
    "--steps",
    type=CountList(CALLS),
    default=(),
    metavar="N,…",
    help="[default: 1,2,4 for a student; the paper's for a teacher]",
)
@click.option(
    "--batch",
    type=CountList(BATCH),
    metavar="N,…",
    default="1",
    show_default=True,
    help="Batch sizes.",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    metavar="NAME,…",
    help="float32, bfloat16 or both; auto is the faster one on this device.",
)
@click.option("--runs", type=RUNS, help="[default: 100; 3 above 100 steps]")
@click.option("--extrapolate", is_flag=True, help="Extrapolate rows above 100 steps instead of running them.")
@click.option("--sampler", metavar="NAME", help="The teachers' sampler, as ddim.")
@click.option(
    "-i",
    "--input",
    "source",
    type=LocalPath(exists=True, dir_okay=False),
    metavar="FILE",
    help="JSON lines with the conditions, used in turn.",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "cpu"]),
    default="wall",
    show_default=True,
    help="cpu: all threads'.",
)
@click.option("--threads", type=THREADS, help="CPU threads.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def bench(
    models: tuple[str, ...],
    profile: str | None,
    overrides: tuple[str, ...],
    against: tuple[str, ...],
    graphs: tuple[Path, ...],
    steps: tuple[int, ...],
    batch: tuple[int, ...],
    precision: str,
    runs: int | None,
    extrapolate: bool,
    sampler: str | None,
    source: Path | None,
    clock: str,
    threads: int | None,
    device: str,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Time MODEL: a model folder, a run directory (its student), or a recipe.

    For a recipe, teacher and student are timed with random weights. Times include tokenising, the network,
    rounding and detokenising. Rows are timed alternately, after a warm-up.
    """
    from dlmone.benchmark.results import BenchResults, Machine
    from dlmone.benchmark.timing import Plan, count_runs, ratios
    from dlmone.benchmark.timing import bench as run
    from dlmone.registry import Registry
    from dlmone.registry.schema import Compute as ComputeTable
    from dlmone.runtime.device import Compute
    from dlmone.runtime.progress import Steps

    registry = Registry.discover(plugins)
    registry.require_files()
    for model in models:
        _require_known(model, registry)
    compute = Compute.start(ComputeTable(device=device, threads=threads))
    recipes = [model for model in models if _is_recipe(model)]
    if (profile or overrides) and not recipes:
        raise click.UsageError("--profile and --set belong to a recipe, and no MODEL is one")
    subjects: list[Subject] = []
    for model in models:
        request = Request(model, profile, overrides, None, None, plugins) if model in recipes else None
        subjects += _subjects(model, request, sampler, device, registry)
    subjects += _graphs(graphs, [model for model in models if model not in recipes], device, registry)
    subjects += _rivals(against, device, registry)
    plan = Plan(
        texts=[example.source for example in examples_of_file(source, registry)] if source else TEXTS,
        steps=steps,
        batches=batch,
        precisions=_precisions(precision, compute.bfloat16),
        runs=runs,
        extrapolate=extrapolate,
        clock="cpu" if clock == "cpu" else "wall",
    )
    if source is None:
        _require_readable(subjects)
    with Steps(console(), "timing", count_runs(subjects, plan)) as progress:
        rows = run(subjects, compute, plan, progress.advance)
    results = BenchResults(
        machine=Machine.here(compute), clock=plan.clock, rows=rows, ratios=ratios(rows, plan.clock)
    )
    if as_json:
        print_json(results.model_dump(mode="json"))
    else:
        _print(results)


def _require_readable(subjects: Sequence[Subject]) -> None:
    """Raise InputError where a model can't read the texts that nobody asked for."""
    examples = [Example(str(place), text, "") for place, text in enumerate(TEXTS)]
    for subject in subjects:
        space = subject.generator.space
        try:
            if space.conditional:
                space.collate(examples)
        except InputError as error:
            raise InputError(
                f"{subject.name}: it can't read the texts that it would be timed with ({error}); give some "
                "that it can with -i FILE"
            ) from error


def _is_recipe(model: str) -> bool:
    from dlmone.registry import shipped_recipes

    return not Path(model).is_dir() and (model.endswith(".toml") or model in shipped_recipes())


def _require_known(model: str, registry: Registry) -> None:
    """Raise InputError if a name is neither an installed model's nor a shipped recipe's, and no path."""
    from dlmone.registry import shipped_recipes
    from dlmone.registry.explain import nearest_path

    known = {*registry.names("models"), *shipped_recipes()}
    is_name = Path(model).name == model and not model.startswith("hub:")
    there = bool(model) and Path(model).exists()
    if is_name and model not in known and not trouble(model) and not there:
        hint = nearest_path(model, known)
        what = model or "an empty name"
        raise InputError(f"{what}: there is no such model folder, installed model or recipe{hint}")


def _subjects(
    model: str, request: Request | None, sampler: str | None, device: str, registry: Registry
) -> list[Subject]:
    from dlmone.benchmark.subjects import of_folder, of_recipe
    from dlmone.registry.fields.device import resolve_device

    if request is None:
        return [of_folder(Path(model), sampler, device, registry)]
    _, resolved = request.resolve()
    name = f"{resolved.recipe.name} {resolved.profile}" if resolved.profile else resolved.recipe.name
    return of_recipe(resolved.recipe, name, sampler, resolve_device(device), registry)


def _graphs(graphs: Sequence[Path], models: Sequence[str], device: str, registry: Registry) -> list[Subject]:
    from dlmone.benchmark.subjects import of_graph
    from dlmone.registry.fields.device import resolve_device

    if graphs and not models:
        raise click.UsageError("--graph is timed beside the model it is of: give that as MODEL, not a recipe")
    return [of_graph(folder, models, resolve_device(device), registry) for folder in graphs]


def _rivals(against: Sequence[str], device: str, registry: Registry) -> list[Subject]:
    from dlmone.benchmark.subjects import of_plugin
    from dlmone.registry.fields.device import resolve_device

    return [of_plugin(words, resolve_device(device), registry) for words in against]


def _precisions(words: str, bfloat16: bool) -> tuple[str, ...]:
    """Return the precisions named, ``auto`` resolved, each once.

    Raises:
        InputError: one is unknown.
    """
    found = []
    for word in words.split(","):
        if word not in PRECISIONS:
            raise InputError(f"--precision: expected {', '.join(PRECISIONS)}, found {word!r}")
        found.append(("bfloat16" if bfloat16 else "float32") if word == "auto" else word)
    return tuple(dict.fromkeys(found))


def _print(results: BenchResults) -> None:
    from dlmone.benchmark.stopwatch import PARTS

    machine = results.machine
    libraries = ", ".join(f"{name} {number}" for name, number in machine.libraries.items())
    click.echo(f"{machine.device}: {machine.processor}, {machine.cores} cores, {machine.threads} threads")
    click.echo(f"Python {machine.python}, {libraries}")
    unit = "milliseconds a sample" + (", of CPU time" if results.clock == "cpu" else "")
    click.echo(f"{unit}; the parts are means\n")
    head = ["", "precision", "NFE", "batch", "runs", "mean", "median", "min", "max", *PARTS]
    head += ["whole/network", "samples/s", "peak MiB"]
    print_columns([head, *(_cells(row, results.clock) for row in results.rows)], right=True)
    for row in results.rows:
        if row.extrapolated_from:
            low, high = row.extrapolated_from
            what = f"{row.model}, {row.precision}, {row.calls} calls"
            click.echo(f"~ {what}: not run, on the line through {low} and {high}")
    click.echo("\ntimes the fastest row, each at its own faster precision")
    print_columns(
        [
            (
                one.model,
                one.precision,
                f"NFE {one.calls}",
                f"{'~' if one.extrapolated else ''}{one.times:,.2f}",
            )
            for one in results.ratios
        ],
        right=True,
    )
    for name, weights in {row.model: row.weights for row in results.rows}.items():
        click.echo(f"{name}: {weights}")


def _cells(row: RowResult, clock: str) -> list[str]:
    from dlmone.benchmark.stopwatch import PARTS

    spread = row.wall if clock == "wall" else row.cpu
    times = (spread.mean, spread.median, spread.min, spread.max)
    return [
        row.model,
        row.precision,
        f"{'~' if row.extrapolated_from else ''}{row.calls}",
        str(row.batch),
        str(row.runs),
        *(f"{1000 * seconds:,.2f}" for seconds in times),
        *(f"{1000 * row.parts[part]:,.2f}" if row.parts else "" for part in PARTS),
        f"{row.overhead.median:.3f}" if row.overhead else "",
        f"{row.samples_per_second:,.2f}",
        f"{row.peak_bytes / 2**20:,.0f}" if row.peak_bytes is not None else "",
    ]
