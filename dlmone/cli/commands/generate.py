"""``dlmone generate``: inference with a student or a teacher."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.generation.inputs import (
    ANY,
    Columns,
    batches,
    examples_of,
    examples_of_file,
    lines_as_they_come,
)
from dlmone.runtime.environment import process_number

from ..completion import complete_model
from ..counts import BATCH, CALLS, SAMPLES, SEED
from ..inference import device_option, precision_option, steps_option
from ..named import NamedOptions
from ..output import console, is_main
from ..paths import LocalPath
from ..request import plugin_option

if TYPE_CHECKING:
    from dlmone.core import Sample
    from dlmone.evaluation.provenance import Provenance
    from dlmone.generation.output_file import OutputFile
    from dlmone.models.model import GenerationConfig, Model
    from dlmone.registry import Registry

#: Maximum number of ids named in an error about texts that do not fit.
NAMED = 10


@click.command(short_help="Generate texts with a student or a teacher.")
@click.argument("model", type=LocalPath(), shell_complete=complete_model)
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=LocalPath(exists=True, dir_okay=False),
    metavar="FILE",
    help="Rows with a source, and perhaps an id and a reference: .jsonl, .csv, .tsv, .parquet, .txt.",
)
@click.option("--source-column", metavar="NAME", help="A row's source.  [default: src, source or text]")
@click.option(
    "--target-column", metavar="NAME", help="A row's reference.  [default: trg, target or reference]"
)
@click.option("--id-column", metavar="NAME", help="A row's id.  [default: id, or the row's number]")
@click.option(
    "--samples",
    "count",
    type=SAMPLES,
    metavar="N",
    help="Generate N texts with a model that takes no condition.",
)
@click.option(
    "-o",
    "--output",
    type=LocalPath(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write JSON lines to this file, as they are generated; - is standard output.",
)
@click.option("--resume", is_flag=True, help="Continue the file that -o names.")
@steps_option
@click.option(
    "--candidates",
    type=CALLS,
    metavar="K",
    help="Samples per text.  [default: 1; 10 with --select]",
)
@click.option("--select", metavar="NAME", help="Keep only the candidate that a selector selects, as mbr.")
@click.option("--augment", metavar="NAME", help="Vary the condition of each candidate, as pad:0.5.")
@click.option(
    "--sampler",
    metavar="NAME",
    help="The sampler, as ddim.  [default: a student re-noises its own output]",
)
@click.option(
    "--set",
    "overrides",
    metavar="NAME.OPTION=VALUE",
    multiple=True,
    help="An option of the --sampler, --augment or --select plugin, as ddim.eta=0.5 with --sampler ddim.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the noise.")
@click.option("--batch", type=BATCH, default=64, show_default=True, help="Texts per batch.")
@device_option
@precision_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, as -o writes them.")
@plugin_option
def generate(
    model: Path,
    texts: tuple[str, ...],
    source: Path | None,
    source_column: str | None,
    target_column: str | None,
    id_column: str | None,
    count: int | None,
    output: Path | None,
    resume: bool,
    as_json: bool,
    batch: int,
    plugins: tuple[Path, ...],
    **settings: Any,
) -> None:
    """Generate with MODEL: a model folder, a run directory, or the name of an installed model.

    The conditions are TEXT..., the rows of a file, or the lines of standard input; a model without conditions
    takes --samples N instead. Outputs appear as soon as they are generated, one line per text on standard
    output (with --candidates, one line per candidate). A sample depends only on the seed, the text, its id
    (or its number, without an id) and the candidate's number.

    NAME:VALUE sets a plugin's first option; `dlmone plugins show NAME` lists them.
    """
    if str(output) == "-":
        if resume:
            raise click.UsageError("--resume continues a file, and -o - is standard output")
        output, as_json = None, True
    if sum(map(bool, (texts, source, count))) > 1:
        raise click.UsageError("TEXT, --input and --samples exclude one another")
    if resume and not output:
        raise click.UsageError("--resume continues the file that --output names: give both")
    columns = Columns(source_column, target_column, id_column)
    if columns != ANY and not source:
        raise click.UsageError("--source-column, --target-column and --id-column name columns of --input")
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    registry.require_files()
    processes = process_number("WORLD_SIZE", 1, least=1)
    rounds: Iterable[Sequence[Example]] = ()
    total = None
    if is_main():  # the others get their texts from it, whatever these are read from
        examples = examples_of([""] * count if count else texts)
        if source:
            examples = examples_of_file(source, registry, columns)
        rounds, total = _rounds(examples, batch * processes)
    from dlmone.registry.fields.device import resolve_device
    from dlmone.runtime.distributed import World

    world = World.join()
    if world.size > 1:
        settings["device"] = str(world.own(resolve_device(settings["device"])))
    loaded, config = _model(model, registry, **settings)
    if count and loaded.generator.space.conditional:
        raise InputError(f"{model} generates for conditions: give texts instead of --samples")
    from dlmone.generation.inference import sample_line
    from dlmone.generation.output_file import OutputFile
    from dlmone.generation.readings import CutSources
    from dlmone.generation.shares import answered
    from dlmone.runtime.interrupts import Interrupted
    from dlmone.runtime.progress import Steps

    file = OutputFile(output, config.provenance, config.kept, resume) if output and world.main else None
    out = sys.stdout  # while the bar is shown, the name stands for another stream
    refused: list[tuple[Example, str]] = []
    cut = CutSources(loaded.generator.space)
    answers = answered(
        world,
        rounds,
        batch,
        lambda part: _generated(loaded, config, part, file),
        alone=lambda: file is not None and file.awaits,
    )
    # Outputs that appear on a terminal are their own progress.
    show = world.main and (file is not None or not out.isatty())
    with Steps(console(), "generating", total, show=show) as progress:
        try:
            for part, (samples, provenance, misfits) in answers:
                sources = {example.id: example.source for example in part}
                if file:
                    file.add(samples, provenance, sources)
                elif as_json:
                    rows = (sample_line(sample, provenance, sources[sample.id]) for sample in samples)
                    out.writelines(row + "\n" for row in rows)
                else:
                    out.writelines(_lines(part, samples, config.kept))
                out.flush()
                refused += misfits
                cut.look(samples, sources)
                progress.advance(len(part))
        except KeyboardInterrupt:
            advice = f"; {output} keeps what is done, and --resume continues it" if output else ""
            raise Interrupted(f"interrupted after {progress.done} texts{advice}") from None
        finally:
            if file:
                file.close()
    if cut.ids:
        warnings.warn(cut.sentence, stacklevel=1)
    if file:
        file.require_all_found()
    if refused:
        raise InputError(_sentence(refused, progress.done))


def _rounds(examples: Sequence[Example], size: int) -> tuple[Iterable[Sequence[Example]], int | None]:
    """Return examples, or lines of standard input, in rounds of ``size``; and how many, if that is known."""
    if not examples:
        stdin = cast(BufferedIOBase, sys.stdin.buffer)
        parts = iter(() if sys.stdin.isatty() else lines_as_they_come(stdin, size))
        if (first := next(parts, None)) is None:
            raise InputError(
                "there is nothing to generate for: give TEXT, --input FILE, or lines on standard input "
                "(--samples N with a model that takes no condition)"
            )
        return chain([first], parts), None
    return batches(examples, size), len(examples)


def _model(
    path: Path,
    registry: Registry,
    sampler: str | None,
    augment: str | None,
    select: str | None,
    overrides: Sequence[str],
    device: str,
    precision: Literal["float32", "bfloat16", "auto"],
    **settings: Any,
) -> tuple[Model, GenerationConfig]:
    """Return the model and its validated inference settings."""
    from dlmone.models.load import load
    from dlmone.registry.schema import AugmenterSlot, SamplerSlot, SelectorSlot, Slot
    from dlmone.registry.short import table_of
    from dlmone.runtime.device import keep_freed_memory

    keep_freed_memory()
    options = NamedOptions(overrides)
    used: list[str] = []

    def table(kind: type[Slot], given: str | None, option: str) -> dict[str, Any] | None:
        if given is None:
            return None
        short = table_of(kind, given, registry, option)
        used.append(short["use"])
        return short | options.of(short["use"])

    by = table(SamplerSlot, sampler, "--sampler")
    settings["augment"] = table(AugmenterSlot, augment, "--augment")
    settings["select"] = table(SelectorSlot, select, "--select")
    options.require_used(used)
    model = load(path, sampler=by, device=device, precision=precision, registry=registry)
    return model, model.configure(**settings)


def _generated(
    model: Model, config: GenerationConfig, part: Sequence[Example], file: OutputFile | None
) -> tuple[list[Sample], Provenance, list[tuple[Example, str]]]:
    """Generate for those examples that fit and that the file lacks; also return the misfits, with reasons."""
    from dlmone.generation.inference import collate_fitting

    space = model.generator.space
    batch, misfits = collate_fitting(space, part)
    sources = {example.id: example.source for example in part}
    known = file.known(batch, space, sources) if batch and file else 0
    if not batch or known == len(batch):
        return [], config.provenance, misfits
    # Those that are there are generated too, so that the others come from the batch that is theirs.
    samples, provenance = model.generate_batch(batch, config)
    return samples[known:], provenance, misfits


def _lines(part: Sequence[Example], samples: Sequence[Sample], kept: int) -> Iterator[str]:
    """Yield the lines of a batch: a candidate each, and empty ones for a text that did not fit."""
    candidates = {sample.id: sample.candidates for sample in samples}
    for example in part:
        for text in candidates.get(example.id, ("",) * kept):
            yield " ".join(text.splitlines()) + "\n"


def _sentence(refused: Sequence[tuple[Example, str]], total: int) -> str:
    """Say which texts were skipped, and why the first was."""
    (_, reason), *others = refused
    if not others:
        return reason
    ids = ", ".join(example.id for example, _ in refused[:NAMED]) + (", ..." if others[NAMED - 1 :] else "")
    return f"{len(refused)} of {total} texts do not fit and were skipped ({ids}); the first: {reason}"
