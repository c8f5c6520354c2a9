"""What a shell completes: recipes, models and plugins by name, besides files.

``eval "$(_DLMONE_COMPLETE=bash_source dlmone)"`` switches it on (``zsh_source``, ``fish_source``).
"""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def complete_recipe(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a shipped recipe or a file."""
    from dlmone.registry import shipped_recipes

    return [*_starting(shipped_recipes(), incomplete), CompletionItem(incomplete, type="file")]


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an installed model or a folder."""
    from dlmone.registry import Registry

    names = Registry.discover().names("models")
    return [*_starting(names, incomplete), CompletionItem(incomplete, type="dir")]


def complete_plugin(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a name that a plugin offers."""
    from dlmone.registry import Registry
    from dlmone.registry.catalogue import KINDS

    registry = Registry.discover()
    return _starting(sorted({name for kind in KINDS for name in registry.names(kind)}), incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
