"""Define plugins and recipes: hooks, discovery, the recipe's schema, and its validation.

Names are loaded when used (PEP 562): a plugin that imports ``hookimpl`` waits for pluggy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .discovery import Registry
    from .files import shipped_recipes
    from .hooks import hookimpl
    from .plugin import Entry, Plugin
    from .recipe import ResolvedRecipe, load_recipe
    from .schema import Recipe
    from .times import Spacing, Time, spacing_on
    from .tokenizer import TokenizerChoice

_HOME = {
    "Entry": "plugin",
    "Plugin": "plugin",
    "Recipe": "schema",
    "Registry": "discovery",
    "ResolvedRecipe": "recipe",
    "Spacing": "times",
    "Time": "times",
    "TokenizerChoice": "tokenizer",
    "spacing_on": "times",
    "hookimpl": "hooks",
    "load_recipe": "recipe",
    "shipped_recipes": "files",
}

__all__ = [
    "Entry",
    "Plugin",
    "Recipe",
    "Registry",
    "ResolvedRecipe",
    "Spacing",
    "Time",
    "TokenizerChoice",
    "hookimpl",
    "load_recipe",
    "shipped_recipes",
    "spacing_on",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
