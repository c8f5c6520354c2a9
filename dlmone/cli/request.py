"""Define the recipe options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .completion import complete_recipe
from .counts import SEED
from .output import is_main
from .paths import LocalPath
from .verbosity import say

if TYPE_CHECKING:
    from dlmone.registry import Registry, ResolvedRecipe
    from dlmone.registry.loading.layers import Layer

plugin_option = click.option(
    "--plugin",
    "plugins",
    metavar="FILE",
    multiple=True,
    type=LocalPath(),
    help="A one-file plugin; repeatable.",
)
_OPTIONS = (
    click.argument("recipe", shell_complete=complete_recipe),
    click.option("--profile", metavar="NAME", help="One of the recipe's profiles."),
    click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Change a key of the recipe, as in --set stages.stage-1.steps=50; repeatable.",
    ),
    click.option("--seed", type=SEED, metavar="N", help="The run's seed."),
    click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--track",
        "trackers",
        metavar="NAME",
        multiple=True,
        help="Send curves and samples to a tracker (`dlmone plugins`), with its default options; repeatable.",
    ),
    plugin_option,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A recipe as requested on the command line."""

    recipe: str
    profile: str | None
    overrides: tuple[str, ...]
    seed: int | None
    device: str | None
    plugins: tuple[Path, ...]
    trackers: tuple[str, ...] = ()

    def resolve(self) -> tuple[Registry, ResolvedRecipe]:
        """Return the plugins and the checked recipe.

        Raises:
            InputError: the recipe is wrong.
            PluginError: it names a plugin that cannot be used.
        """
        from dlmone.registry import Registry

        registry = Registry.discover(self.plugins)
        return registry, self.load(registry)

    def load(
        self,
        registry: Registry,
        row: Layer | None = None,
        settings: Sequence[tuple[str, Any]] = (),
        seed: int | None = None,
    ) -> ResolvedRecipe:
        """Return the recipe as a run of a grid changes it.

        Args:
            registry: provides the plugins.
            row: what the row changes, below ``--set``.
            settings: keys and values above ``--set``.
            seed: instead of that asked for.

        Raises:
            InputError: the recipe is wrong.
            PluginError: it names a plugin that cannot be used.
        """
        from dlmone.registry import load_recipe

        for name in self.trackers:
            registry.entry("trackers", name, "--track")
        device = [("compute.device", self.device)] if self.device else []
        trackers = [(f"trackers.{name}.use", name) for name in self.trackers]
        return load_recipe(
            self.recipe,
            registry=registry,
            profile=self.profile,
            row=row,
            overrides=self.overrides,
            settings={"--device": device, "--track": trackers, "grid": settings},
            seed=self.seed if seed is None else seed,
        )

    def words(self) -> list[str]:
        """Return the request as words of a command line."""
        words = [self.recipe]
        for option, value in (("--profile", self.profile), ("--seed", self.seed), ("--device", self.device)):
            words += [option, str(value)] if value is not None else []
        for override in self.overrides:
            words += ["--set", override]
        for tracker in self.trackers:
            words += ["--track", tracker]
        for plugin in self.plugins:
            words += ["--plugin", str(plugin)]
        return words


def takes_recipe(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument RECIPE and its options, the fields of a `Request`, to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def announce(resolved: ResolvedRecipe) -> None:
    """Print which profile runs and the recipe's note; under torchrun, once."""
    recipe = resolved.recipe
    what = f"{recipe.name}, profile {resolved.profile}" if resolved.profile else recipe.name
    if is_main():
        say(f"{what}: {recipe.note or recipe.description}".rstrip(": "))
