"""``dlmone export``: a copy of a model folder for others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click

from dlmone.core.errors import InputError

from ..completion import complete_model
from ..paths import LocalPath
from ..request import plugin_option
from ..verbosity import say


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("out", metavar="OUT", type=LocalPath())
@click.option(
    "--precision",
    type=click.Choice(["bfloat16", "float32"]),
    help="Precision of the copied weights.  [bfloat16]",
)
@click.option(
    "--to",
    "exporter",
    metavar="NAME[:VALUE]",
    help="Write a student's one network call as one graph instead, by an exporter of `dlmone plugins`.",
)
@click.option(
    "--example",
    metavar="TEXT",
    help="With --to: the condition of the example that the graph comes with, for a model that can't read "
    "English.",
)
@click.option(
    "--card",
    type=LocalPath(exists=True, dir_okay=False),
    metavar="FILE",
    help="The model card, instead of the one that the run wrote.",
)
@plugin_option
def export(
    model: str,
    out: Path,
    precision: str | None,
    exporter: str | None,
    example: str | None,
    card: Path | None,
    plugins: tuple[Path, ...],
) -> None:
    """Copy MODEL to OUT with its weights in bfloat16, half as large.

    MODEL is a model folder, a run directory (its student), or the name of an installed model. With --to, a
    student becomes a graph from tokens and noise to tokens that needs no dlmone (docs/deploy.md).
    """
    from dlmone.models.export import export as export_model
    from dlmone.models.resolve import model_folder
    from dlmone.registry import Registry
    from dlmone.registry.loading.files import read_text

    if exporter is not None and (precision is not None or card is not None):
        raise InputError("--to writes a graph; --precision and --card are for copies of model folders")
    if exporter is None and example is not None:
        raise InputError("--example is the condition of a graph's example, and --to writes one")
    if example is not None and not example.strip():
        raise InputError("--example: expected a text, got an empty one")
    registry = Registry.discover(plugins)
    registry.require_files()
    folder = model_folder(model, registry)
    if exporter is None:
        text = None if card is None else read_text(str(card), card)
        chosen = cast(Literal["float32", "bfloat16"], precision or "bfloat16")
        size = export_model(folder, out, registry, chosen, text)
    else:
        from dlmone.models.graph import QUESTION, export_graph
        from dlmone.registry.schema import ExporterSlot
        from dlmone.registry.short import slot_of

        slot = slot_of(ExporterSlot, exporter, registry, "--to")
        size = export_graph(folder, out, registry, slot, example or QUESTION)
    say(f"{size / 1e6:.1f} MB")
    click.echo(out)
