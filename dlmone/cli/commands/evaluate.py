"""``dlmone evaluate``: score sample files side by side, with each score's definition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlmone.core.errors import InputError

from ..counts import RESAMPLES
from ..named import NamedOptions
from ..output import console, write_text
from ..paths import LocalPath
from ..request import plugin_option

if TYPE_CHECKING:
    from dlmone.core import Evaluator
    from dlmone.evaluation.results import Results
    from dlmone.evaluation.samples import SampleSet
    from dlmone.evaluation.scoring import Row
    from dlmone.evaluation.selection import CandidateSelector
    from dlmone.registry import Registry, SampleReader


@click.command()
@click.argument("samples", nargs=-1, required=True, type=LocalPath())
@click.option(
    "--metrics",
    metavar="A,B",
    help="Evaluators by name.  [default: all that need no download and fit any task]",
)
@click.option(
    "--set",
    "overrides",
    metavar="NAME.OPTION=VALUE",
    multiple=True,
    help="An option of a metric or selector, as in --set bertscore.num_layers=6; repeatable.",
)
@click.option("--against", type=LocalPath(), help="Test each system against this one.")
@click.option("--select", metavar="NAME", help="Also score the candidate that a selector picks, as mbr.")
@click.option("--utility", metavar="METRIC", help="The metric that it compares by, in place of its own.")
@click.option(
    "--k", default="all", show_default=True, metavar="K,K", help="Among how many candidates it picks."
)
@click.option(
    "--bootstrap",
    type=RESAMPLES,
    default=1000,
    show_default=True,
    metavar="N",
    help="Resamples for intervals and tests; 0 omits both.",
)
@click.option(
    "--baselines/--no-baselines",
    default=True,
    help="Also score copying the source and the reference.  [yes]",
)
@click.option("--per-sample", is_flag=True, help="Include each example's values in the JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/metrics.md describes it.")
@click.option(
    "--signatures/--no-signatures",
    default=True,
    help="Whether to print the scores' whole definitions below their tables.  [yes]",
)
@click.option(
    "-o",
    "--output",
    type=LocalPath(dir_okay=False),
    metavar="FILE",
    help="Also write the JSON to this file; - prints it instead of the table, as --json does.",
)
@plugin_option
def evaluate(
    samples: tuple[Path, ...],
    metrics: str | None,
    overrides: tuple[str, ...],
    against: Path | None,
    select: str | None,
    utility: str | None,
    k: str,
    bootstrap: int,
    baselines: bool,
    per_sample: bool,
    as_json: bool,
    signatures: bool,
    output: Path | None,
    plugins: tuple[Path, ...],
) -> None:
    """Score SAMPLES side by side, each with its definition.

    Each is one system: a file of samples (dlmone's, or another tool's for which there is a reader, as
    DiffuSeq's), or a folder of them, in which each file holds more candidates for the same examples.
    """
    if against and not bootstrap:
        raise click.UsageError("--against tests by resampling, which --bootstrap 0 leaves out")
    if utility and not select:
        raise click.UsageError("--utility is the metric that --select compares by: give both")
    if k != "all" and not select:
        raise click.UsageError("--k says of how many candidates --select chooses: give both")
    if str(output) == "-":
        output, as_json = None, True
    if output and output.is_file() and not _holds_results(output):
        raise InputError(f"{output} is there already and holds no results of evaluate; name another file")
    from dlmone.evaluation.samples import sample_readers
    from dlmone.evaluation.scoring import score_baselines
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    registry.require_files()
    scorers = _scorers(registry, metrics, select, utility, overrides)
    paths = dict.fromkeys((*samples, *([against] if against else ())))
    systems = _read(paths, against, sample_readers(registry), full=as_json)
    _warn_of_blindness(registry, scorers, systems.values(), by_default=not metrics)
    rows = {name: _rows(name, found, scorers, _sizes(k), bool(metrics)) for name, found in systems.items()}
    table = [row for one in rows.values() for row in one]
    if baselines:
        table += score_baselines([one[0] for one in rows.values()], scorers.evaluators)
    found = _results(table, _rivals(list(rows.values())) if against else [], bootstrap, per_sample)
    if output:
        write_text(output, found.text() + "\n")
    if as_json:
        click.echo(found.text())
    else:
        from ..tables import print_results

        print_results(found, signatures)


def _rivals(systems: Sequence[Sequence[Row]]) -> list[tuple[Row, Row]]:
    """Pair each row with the last system's of the same selector."""
    *ours, theirs = systems
    rivals = {row.selector: row for row in theirs}
    return [(row, rivals[row.selector]) for one in ours for row in one if row.selector in rivals]


def _results(
    table: Sequence[Row], rivals: Sequence[tuple[Row, Row]], bootstrap: int, per_sample: bool
) -> Results:
    """Return rows with their intervals, and tests against rivals, showing how far the resampling is."""
    from dlmone.evaluation.comparison import compare
    from dlmone.evaluation.confidence import Resampling
    from dlmone.evaluation.results import results
    from dlmone.runtime.progress import Steps

    if not bootstrap:
        return results(table, None, per_sample=per_sample)
    plain = Resampling(bootstrap)
    work = plain.interval_work([one for row in table for one in row.sums.values()])
    work += sum(plain.comparison_work(len(one.sums.keys() & other.sums.keys())) for one, other in rivals)
    with Steps(console(), "resampling", work) as progress:
        resampling = replace(plain, advance=progress.advance)
        compared = [(one, other, compare(one, other, resampling)) for one, other in rivals]
        return results(table, resampling, compared, per_sample=per_sample)


def _holds_results(path: Path) -> bool:
    """Tell whether a file is empty or one of results, which new results may replace."""
    with path.open("rb") as file:
        start = file.read(200)
    return not start or re.match(rb'\s*\{\s*"format":\s*"dlmone\.results/', start) is not None


def _warn_of_blindness(
    registry: Registry, scorers: _Scorers, systems: Iterable[SampleSet], by_default: bool
) -> None:
    """Warn of metrics that don't see how the texts are written; by default add one that does."""
    from dlmone.evaluation.blindness import warn_of_blindness
    from dlmone.registry.schema import EvaluatorSlot

    samples = [sample for found in systems for sample in found.samples]
    if not warn_of_blindness(scorers.evaluators, samples) or not by_default:
        return
    for name in registry.fallbacks("evaluators"):
        if name not in scorers.evaluators:
            scorers.evaluators[name] = registry.create("evaluators", EvaluatorSlot(use=name))


@dataclass(frozen=True, slots=True)
class _Scorers:
    """The metrics, by the names they were asked for, and the selector of candidates, if any."""

    evaluators: dict[str, Evaluator]
    selector: CandidateSelector | None


def _scorers(
    registry: Registry, metrics: str | None, select: str | None, utility: str | None, overrides: Sequence[str]
) -> _Scorers:
    from dlmone.evaluation.selection import CandidateSelector
    from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

    wanted = registry.defaults("evaluators") if metrics is None else metrics.split(",")
    names = list(dict.fromkeys(name.strip() for name in wanted if name.strip()))
    if not names:
        raise InputError(f"--metrics {metrics!r}: expected names of evaluators, separated by commas")
    options = NamedOptions(overrides, names)

    def evaluator(name: str, where: str = "--utility") -> tuple[EvaluatorSlot, Evaluator]:
        slot = EvaluatorSlot.model_validate({"use": name, **options.of(name)})
        registry.entry("evaluators", slot.use, where)
        made: Evaluator = evaluators.get(name) or registry.create("evaluators", slot, f"--set {name}")
        names.append(name)
        return slot, made

    evaluators: dict[str, Evaluator] = {}
    for name in tuple(names):
        evaluators[name] = evaluator(name, "--metrics")[1]
    selector = None
    if select:
        registry.entry("selectors", select, "--select")
        chosen_by = {"utility": utility} if utility else {}
        slot = SelectorSlot.model_validate({"use": select, **options.of(select)} | chosen_by)
        selector = CandidateSelector.of(registry, slot, evaluator, f"--set {select}")
        names.append(select)
    options.require_used(names)
    return _Scorers(evaluators, selector)


def _read(
    paths: Iterable[Path], against: Path | None, readers: Sequence[SampleReader], full: bool
) -> dict[str, SampleSet]:
    """Return what each path holds, by its name: all in the order of ``against``, the last, if it is given."""
    from dlmone.evaluation.comparison import align_samples, short_names
    from dlmone.evaluation.samples import read_samples

    # The one that the others are compared with comes last, also if it was named among them.
    ordered = sorted(paths, key=lambda path: path == against)
    names = [str(path) for path in ordered] if full else short_names(ordered)
    systems = {name: read_samples(path, readers) for name, path in zip(names, ordered, strict=True)}
    if against is None:
        return systems
    if len(systems) == 1:
        raise InputError(f"{against} cannot be compared with itself: name another system")
    *_, (rival, theirs) = systems.items()
    return {
        name: ours._replace(samples=align_samples(ours.samples, name, theirs.samples, rival))
        for name, ours in systems.items()
    }


def _rows(
    name: str, found: SampleSet, scorers: _Scorers, sizes: Sequence[int] | None, named: bool
) -> list[Row]:
    """Return a system's row and, after it, one for each number of candidates that one is selected from."""
    from dlmone.evaluation.scoring import drawn, score

    count = drawn(found.samples)
    for metric, evaluator in scorers.evaluators.items():
        if named and evaluator.candidates > count:
            need = f"{metric} needs {evaluator.candidates} candidates per sample"
            raise InputError(f"{name}: {need}, and there {'is' if count == 1 else 'are'} {count}")
    row = score(name, *found, scorers.evaluators)
    if scorers.selector is None:
        return [row]
    return [row, *scorers.selector.rows(row, scorers.evaluators, sizes)]


def _sizes(k: str) -> list[int] | None:
    """Return the numbers of candidates asked for, None for all that there are."""
    if k == "all":
        return None
    try:
        sizes = sorted({int(part) for part in k.split(",")})
    except ValueError:
        sizes = [0]
    if sizes[0] < 1:
        raise InputError(f"--k {k}: expected numbers of candidates, as in --k 1,2,4, or all")
    return sizes
