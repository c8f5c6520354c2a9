"""``dlmone recipes``: the recipes that come with dlmone, as written and as resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..completion import complete_recipe
from ..output import print_columns, print_json
from ..request import Request, plugin_option


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(context: click.Context) -> None:
    """List and show recipes."""
    if context.invoked_subcommand is None:
        context.invoke(list_recipes)


@recipes.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_recipes(as_json: bool = False) -> None:
    """List the shipped recipes with their profiles, the default one first."""
    from dlmone.registry import shipped_recipes
    from dlmone.registry.loading.files import read_recipe

    found: list[dict[str, Any]] = []
    for name, description in shipped_recipes().items():
        file = read_recipe(name)
        profiles = sorted(file.profiles, key=lambda profile: profile != file.default_profile)
        found.append({"name": name, "description": description, "profiles": profiles})
    if as_json:
        print_json(found)
    else:
        print_columns([(one["name"], ", ".join(one["profiles"]), one["description"]) for one in found])


@recipes.command()
def keys() -> None:
    """Print every key of a recipe, with type, bounds, default and meaning, in Markdown."""
    from dlmone.registry.describe import recipe_reference

    click.echo(recipe_reference(), nl=False)


@recipes.command()
@click.argument("name", shell_complete=complete_recipe)
@click.option("--profile", metavar="NAME", help="Print the recipe as resolved with this profile.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="… and with this setting.")
@plugin_option
def show(name: str, profile: str | None, overrides: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Print the recipe NAME (a file, or a shipped one) as it is written.

    With --profile or --set it is printed as resolved: everything written out, defaults too.
    """
    if profile is None and not overrides:
        from dlmone.registry.loading.files import recipe_text

        click.echo(recipe_text(name), nl=False)
        return
    _, resolved = Request(name, profile, overrides, None, None, plugins).resolve()
    click.echo(resolved.dump(), nl=False)
