"""Merge the layers of a recipe; upper layers override lower ones.

extended file < file < profile < row of a grid < ``--set`` < ``--seed``. Tables are merged key by key, other
values are replaced. Three further rules apply. A plugin's options are dropped when its slot is given another
plugin. ``false`` removes a named part (a stage, an objective, a metric). A teacher's training settings (its
options, ``pretrain``) are dropped when an upper layer gives the ``path`` of a trained one.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from dlmone.core.errors import InputError

from ..explain import Loc, dotted, nearest, shortened
from ..fields.times import Time, is_time
from ..schema import Recipe, Slot, TeacherSlot
from ..shape import is_mapping, is_model, part
from .toml import parse_toml


@dataclass(frozen=True, slots=True)
class Layer:
    """A table of settings and a description of its source."""

    source: str
    table: dict[str, Any]


def stack(layers: Sequence[Layer]) -> dict[str, Any]:
    """Merge layers, the lowest first.

    Raises:
        InputError: a layer removes a part that no lower one has.
    """
    table: dict[str, Any] = {}
    for layer in layers:
        table = merge(table, layer.table, source=layer.source)
    return table


def merge(
    lower: Mapping[str, Any],
    upper: Mapping[str, Any],
    shape: Any = Recipe,
    source: str = "",
    loc: Loc = (),
) -> dict[str, Any]:
    """Return ``lower`` as changed by ``upper``; neither is altered.

    Args:
        shape: what the schema expects at this place.
        source: where ``upper`` came from, for the error.
        loc: the key path of this place, for the error.

    Raises:
        InputError: ``upper`` removes a part that ``lower`` does not have.
    """
    merged = dict(lower)
    # Below a slot, in a plugin's options, a table with ``use`` is a plugin too (a tokenizer).
    slot = "use" in lower and (_is_slot(shape) or shape is None)
    if slot and upper.get("use", lower["use"]) != lower["use"]:
        known = shape.model_fields if shape else ()
        merged = {key: value for key, value in lower.items() if key in known}
    if shape is TeacherSlot and upper.get("path"):
        merged = {key: value for key, value in merged.items() if key == "use"}
    for key, value in upper.items():
        if value is False and is_mapping(shape):
            if key not in merged:
                where = dotted((*loc, key))
                raise InputError(f"{source}: {where}: there is none to take out{nearest(key, merged)}")
            del merged[key]
        # A time is one value in any of its forms, so it is replaced, not merged.
        elif isinstance(value, Mapping) and part(shape, key) is not Time and not is_time(value):
            below = merged.get(key)
            if isinstance(below, str) and part(shape, key) is None and "use" not in value:
                below = {"use": below}  # a plugin that was named by its short form
            below = below if isinstance(below, Mapping) else {}
            merged[key] = merge(below, value, part(shape, key), source, (*loc, key))
        else:
            merged[key] = value
    return merged


#: A key as an error shows one.
_KEY = "stages.stage-1.steps"


def layer_of_overrides(below: Mapping[str, Any], overrides: Sequence[str], like: str = _KEY) -> Layer:
    """Turn ``--set`` arguments, ``KEY=VALUE`` each, into one layer above ``below``.

    KEY is a TOML key. ``*`` matches every key; if only some of them contain the part named by the rest of KEY
    (stages with that objective), it matches those. VALUE is TOML, or a string if it does not look like TOML
    (a bare word, a path).

    Args:
        below: the table that ``*`` looks into.
        overrides: the arguments.
        like: a key as an error shows one.

    Raises:
        InputError: an argument cannot be read, or its ``*`` matches nothing.
    """
    settings = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {shortened(text)}: expected KEY=VALUE")
        settings.append((key.strip(), toml_value(value.strip(), f"--set {text}")))
    return layer_of_settings(below, settings, "--set", like)


def layer_of_settings(
    below: Mapping[str, Any], settings: Sequence[tuple[str, Any]], source: str, like: str = _KEY
) -> Layer:
    """Turn keys, as `layer_of_overrides` takes them, and their values into one layer above ``below``.

    Raises:
        InputError: a key cannot be read, or its ``*`` matches nothing.
    """
    layer = Layer(source, {})
    for key, value in settings:
        table = merge(below, layer.table, source=source)
        places = list(_expand(table, _path(key, source, like)))
        if not places:
            raise InputError(f"{source} {shortened(key)}: there is nothing that * could stand for")
        places = [place for place in places if _has_parts(table, place)] or places
        for place in places:
            _put(layer.table, place, value)
    return layer


def toml_value(value: str, where: str) -> Any:
    """Parse a value given as text: TOML, or the string itself (a bare word, a path).

    Raises:
        InputError: it looks like TOML but is invalid; the message begins with ``where``.
    """
    try:
        table = parse_toml(f"value = {value}")
    except ValueError as error:
        if value.startswith(("[", "{", '"', "'")) or not isinstance(error, tomllib.TOMLDecodeError):
            raise InputError(f"{shortened(where)}: the value is not TOML: {error}") from None
        return value
    # Recipes have no dates; a value that looks like one is a file name.
    return value if isinstance(table["value"], (date, time)) or len(table) > 1 else table["value"]


def origin(layers: Sequence[Layer], loc: Loc) -> str:
    """Return the source of the value at ``loc``, or of the table that lacks it."""
    for depth in range(len(loc), -1, -1):
        for layer in reversed(layers):
            if _has(layer.table, loc[:depth]):
                return layer.source
    return ""


def _is_slot(shape: Any) -> bool:
    return is_model(shape) and issubclass(shape, Slot)


def _has(table: Any, loc: Loc) -> bool:
    for key in loc:
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _path(key: str, source: str, like: str) -> list[str]:
    path: list[str] = []
    try:
        table = parse_toml(key.replace("*", '"*"') + " = 0")
        while isinstance(table, dict):
            ((name, table),) = table.items()
            path.append(name)
    except ValueError:  # no TOML, or none or several keys of it
        raise InputError(f"{source}: {shortened(key)!r} is not a key like {like}") from None
    return path


def _expand(table: Any, path: list[str]) -> Iterator[list[str]]:
    if not path:
        yield []
        return
    table = table if isinstance(table, Mapping) else {}
    for name in list(table) if path[0] == "*" else path[:1]:
        for rest in _expand(table.get(name), path[1:]):
            yield [name, *rest]


def _has_parts(table: Any, place: list[str]) -> bool:
    """Tell whether the named parts (stages, objectives, metrics) on the way to a place are there."""
    named = (depth for depth in range(len(place)) if is_mapping(part(Recipe, *place[:depth])))
    return all(_has(table, tuple(place[: depth + 1])) for depth in named)


def _put(table: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        below = table.get(name)
        table[name] = table = below if isinstance(below, dict) else {}
    table[path[-1]] = value
