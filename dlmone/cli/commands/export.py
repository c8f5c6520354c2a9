"""``dlmone export``: a copy of a model folder for others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click

from ..request import plugin_option


@click.command()
@click.argument("model")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["bfloat16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="Precision of the weights in the file.",
)
@click.option(
    "--card",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The model card, instead of the one that the run wrote.",
)
@plugin_option
def export(model: str, out: Path, precision: str, card: Path | None, plugins: tuple[Path, ...]) -> None:
    """Copy MODEL to OUT with its weights in bfloat16, half as large.

    MODEL is a model folder, a run directory (its student), or the name of an installed model.
    """
    from dlmone.models.export import export as export_model
    from dlmone.models.resolve import model_folder
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    registry.require_files()
    text = None if card is None else card.read_text(encoding="utf-8")
    size = export_model(
        model_folder(model, registry), out, registry, cast(Literal["float32", "bfloat16"], precision), text
    )
    click.echo(f"{size / 1e6:.1f} MB", err=True)
    click.echo(out)
