"""Say which method of a plugin broke its contract."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .errors import PluginError


def require(holds: bool, owner: object, method: str, wanted: str, found: object) -> None:
    """Check what a method of a plugin returned.

    Raises:
        PluginError: it is not what its contract says; the sentence names class, method and file.
    """
    if not holds:
        kind = owner if isinstance(owner, type) else type(owner)
        module = sys.modules.get(kind.__module__)
        place = getattr(module, "__file__", None) or kind.__module__
        what = f"{kind.__qualname__}.{method}() must return {wanted}, not {_words(found)}"
        raise PluginError(f"{place}: {what}")


def is_named(value: object, kind: type | tuple[type, ...]) -> bool:
    """Tell whether a value is a mapping from strings to values of a kind."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(one, kind) and not isinstance(one, bool)
        for name, one in value.items()
    )


def _words(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)) and value:
        return f"a {type(value).__name__} that begins with {_words(value[0])}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
