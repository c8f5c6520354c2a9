"""``dlmone generate``: writing with a student or a teacher."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlmone.core.data import Example
from dlmone.core.errors import InputError

from .output import console
from .request import plugin_option
from .sources import examples_of_file, examples_of_texts

if TYPE_CHECKING:
    from dlmone.core import Sample
    from dlmone.engine.provenance import Provenance

#: Steps of a teacher where none are asked for: enough for a fair text, few enough to wait for.
TEACHER_STEPS = 20


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help='JSON lines with "src" or "source", and if wanted "id" and the reference, "trg" or "target".',
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Where JSON lines are written, instead of on standard output.",
)
@click.option("--steps", type=click.IntRange(min=1), help="[default: 1 for a student, 20 for a teacher]")
@click.option("--candidates", type=click.IntRange(min=1), default=1, show_default=True, help="Draws a text.")
@click.option("--sampler", metavar="NAME", help="How a teacher writes.  [default: ddim]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Texts at a time.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the ones that -o writes.")
@plugin_option
def generate(
    model: Path,
    texts: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    steps: int | None,
    candidates: int,
    sampler: str | None,
    seed: int,
    batch: int,
    device: str,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Write with MODEL: a model folder, or a run directory.

    The texts to write for are TEXT..., or the rows of a file, or the lines of standard input. Each gives
    one line on standard output (with --candidates, as many lines). A draw depends on the seed, the text's
    id (its number, if it has none) and the candidate's number, and on nothing else.
    """
    if texts and source:
        raise click.UsageError("TEXT and --input exclude each other")
    examples = examples_of_file(source) if source else examples_of_texts(texts or _lines_of_stdin())
    samples, provenance = _write(model, examples, steps, candidates, sampler, seed, batch, device, plugins)
    from dlmone.engine.write import sample_line, save_samples

    if output:
        save_samples(output, samples, provenance)
        return
    for sample in samples:
        for line in [sample_line(sample, provenance)] if as_json else sample.candidates:
            click.echo(line)


def _lines_of_stdin() -> list[str]:
    text = "" if sys.stdin.isatty() else sys.stdin.read()
    if not text.strip():
        raise InputError("there is nothing to write for: give TEXT, --input FILE, or lines on standard input")
    return text.removesuffix("\n").split("\n")


def _write(
    model: Path,
    examples: list[Example],
    steps: int | None,
    candidates: int,
    sampler: str | None,
    seed: int,
    batch: int,
    device: str,
    plugins: tuple[Path, ...],
) -> tuple[list[Sample], Provenance]:
    from dlmone.core import SampledGenerator
    from dlmone.engine.compute import Compute
    from dlmone.engine.folder import fingerprint
    from dlmone.engine.load import load, model_folder
    from dlmone.engine.progress import Steps
    from dlmone.engine.provenance import RENOISE, Provenance
    from dlmone.engine.write import write_samples
    from dlmone.registry import Registry
    from dlmone.registry.schema import Compute as ComputeTable

    registry = Registry.discover(plugins)
    registry.require_files()
    generator = load(model, sampler=sampler or "ddim", device=device, registry=registry)
    is_teacher = isinstance(generator, SampledGenerator)
    if sampler and not is_teacher:
        raise InputError(f"{model} is a student, which writes without a sampler: leave out --sampler")
    with Steps(console(), "writing", len(examples) * candidates) as progress:
        written = write_samples(
            generator,
            examples,
            Compute.start(ComputeTable(device=device)),
            steps=steps or (TEACHER_STEPS if is_teacher else 1),
            candidates=candidates,
            seed=seed,
            batch=batch,
            progress=progress.advance,
        )
    name = (sampler or "ddim") if is_teacher else RENOISE
    hashed = fingerprint(model_folder(model))
    return written.samples, Provenance.here(hashed, name, written.calls, seed)
