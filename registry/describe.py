"""Describe the keys of a recipe and the options of plugins: type, bounds, default, meaning."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .fields.times import Time
from .schema import Recipe
from .shape import is_mapping, is_model, part

#: What a field's constraints are called in mathematics.
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Attributes:
        name: its name, or its whole path.
        type: what it holds.
        bounds: what it must fulfil, as ``≥ 1, ≤ 100``; empty if nothing.
        default: as in TOML; None if it must be given, or if there is none.
        help: what it means; empty if its model does not say.
        required: whether it must be given.
    """

    name: str
    type: str
    bounds: str
    default: str | None
    help: str
    required: bool


def describe(model: type[BaseModel]) -> list[Key]:
    """Return the keys of a model in their order."""
    meanings = _meanings(model)
    return [_key(name, field, meanings) for name, field in model.model_fields.items()]


def option_keys(model: type[BaseModel]) -> Iterator[Key]:
    """Yield the keys of a plugin's options. Those of a table among them follow it by their path, unless its
    model says of none what it means.
    """
    for key in describe(model):
        yield key
        below = part(model, key.name)
        if is_model(below) and below is not Time:
            inner = [replace(one, name=f"{key.name}.{one.name}") for one in option_keys(below)]
            yield from inner if any(one.help for one in inner) else ()


def recipe_keys(shape: Any = Recipe, path: tuple[str, ...] = ()) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every table of a recipe, by its path (``stages.NAME.ema``), with its model."""
    yield ".".join(path), shape
    for name in shape.model_fields:
        below, place = part(shape, name), (*path, name)
        if is_mapping(below):
            below, place = part(below, "NAME"), (*place, "NAME")
        if is_model(below) and below is not Time:
            yield from recipe_keys(below, place)


def recipe_reference() -> str:
    """Return a page in Markdown with every key of a recipe."""
    lines = [
        "# Keys of a recipe",
        "",
        "Written by `dlmone recipes keys` from the schema. A table that names a plugin with `use` also",
        "takes the plugin's options (`dlmone plugins show NAME`). `false` switches an optional value off.",
    ]
    for path, model in recipe_keys():
        doc = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]
        lines += ["", f"## `{path}`" if path else "## The recipe", "", " ".join(doc.split()), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key in describe(model):
            kind = f"{key.type}, {key.bounds}" if key.bounds else key.type
            default = "required" if key.required else f"`{key.default}`" if key.default else ""
            cells = (f"`{key.name}`", kind, default, key.help)
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _key(name: str, field: FieldInfo, meanings: dict[str, str]) -> Key:
    text, bounds = _type(field.annotation), _bounds(field.metadata, field.annotation)
    default = None if field.default in (PydanticUndefined, None) else _default(field.default)
    help = field.description or meanings.get(name, "")
    return Key(name, text, bounds, default, help, field.is_required())


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(annotation: Any) -> str:
    """Format a type as in code, without modules and without what only pydantic reads."""
    if annotation is type(None):
        return "None"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is None:
        return getattr(annotation, "__name__", str(annotation))
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    if getattr(origin, "__name__", "") in ("Union", "UnionType"):
        return " | ".join(map(_type, inner))
    name = getattr(origin, "__name__", str(origin).removeprefix("typing."))
    if name == "Literal":
        return " | ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in inner)
    return f"{name}[{', '.join('…' if one is Ellipsis else _type(one) for one in inner)}]"


def _bounds(metadata: Iterable[Any], annotation: Any) -> str:
    """Return what a value must fulfil, and what each of several must: ``not empty, each ≥ 1``."""
    metadata = [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
    found = [
        f"{sign} {getattr(one, name):,}"
        for one in metadata
        for name, sign in SIGNS.items()
        if getattr(one, name, None) is not None
    ]
    found += ["not empty" for one in metadata if getattr(one, "min_length", None)]
    inner = [one for one in get_args(annotation) if one not in (NoneType, Ellipsis)]
    if hasattr(annotation, "__metadata__"):
        found += filter(None, [_bounds(annotation.__metadata__, inner[0])])
    elif get_origin(annotation) in (Union, UnionType):
        found += filter(None, (_bounds((), one) for one in inner))
    elif get_origin(annotation) in (tuple, list):
        found += [f"each {bounds}" for one in inner if (bounds := _bounds((), one))]
    return ", ".join(found)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what the source says of a model's fields: under ``Attributes:``, or in ``#:`` before them."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            found |= _attributes(inspect.cleandoc(kind.__doc__ or "")) | _comments(kind)
    return found


def _attributes(doc: str) -> dict[str, str]:
    _, _, below = doc.partition("Attributes:\n")
    found: dict[str, str] = {}
    for names, text in re.findall(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", below, re.MULTILINE):
        found |= {name.strip(): " ".join(text.split()) for name in names.split(",")}
    return found


def _comments(model: type[BaseModel]) -> dict[str, str]:
    try:
        source = inspect.getsource(model)
    except (OSError, TypeError):  # made in a session, or by a plugin without a source
        return {}
    blocks = re.findall(r"((?:^ +#: .*\n)+)^ +(\w+):", source, re.MULTILINE)
    return {name: " ".join(re.sub(r"^ +#: ", "", text, flags=re.MULTILINE).split()) for text, name in blocks}
