"""``dlmone push``: a model folder to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from dlmone.core.errors import InputError

from ..completion import complete_model
from ..request import plugin_option


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("repository", metavar="OWNER/NAME[@BRANCH]")
@click.option("--private", is_flag=True, help="Let only its owner see a repository that is made.")
@click.option(
    "--license", "licence", metavar="ID", help="The model's licence, as the hub names it: apache-2.0."
)
@click.option("--language", "languages", metavar="CODE", multiple=True, help="A language of its texts: en.")
@click.option(
    "--dataset", "datasets", metavar="NAME", multiple=True, help="A data set of the hub it was trained on."
)
@click.option("--message", default="A model of dlmone", show_default=True, help="What the commit says.")
@plugin_option
def push(
    model: str,
    repository: str,
    private: bool,
    licence: str | None,
    languages: tuple[str, ...],
    datasets: tuple[str, ...],
    message: str,
    plugins: tuple[Path, ...],
) -> None:
    """Send MODEL to the Hugging Face hub, in one commit, with a card.

    MODEL is a model folder, a run directory (its student), or the name of an installed model. Of a run, the
    card has the scores of these weights and the recipe. Prints the address with the commit (docs/hub.md).
    """
    from dlmone.models.export import check_loads
    from dlmone.models.hub import parse, upload
    from dlmone.models.hub_card import hub_card
    from dlmone.models.resolve import model_folder
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    registry.require_files()
    address = parse(repository)
    folder = model_folder(model, registry)
    check_loads(folder, registry)
    if not message.strip():
        raise InputError("--message: a commit needs a message")
    card = hub_card(folder, address.repo, licence=licence, languages=languages, datasets=datasets)
    click.echo(upload(folder, address, card, private=private, message=message))
