"""Navigate a pydantic model by key path, and convert a model to plain TOML values."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel

from .fields.paths import trouble

#: The largest whole number that a tensor, a seed or a file holds.
LARGEST = 2**63 - 1


def is_model(shape: Any) -> TypeGuard[type[BaseModel]]:
    """Tell whether the keys here are the fields of a model."""
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def is_mapping(shape: Any) -> bool:
    """Tell whether the keys here are names given by the user (stages, objectives, metrics)."""
    return get_origin(shape) is dict


def part(shape: Any, *path: str | int) -> Any:
    """Return the schema at ``path`` below ``shape``, or None if there is none."""
    for key in path:
        if is_model(shape):
            field = shape.model_fields.get(str(key))
            shape = _bare(field.annotation) if field else None
        else:
            shape = _bare(get_args(shape)[1]) if is_mapping(shape) else None
    return shape


def known_keys(shape: Any) -> list[str]:
    """Return the keys a model takes, none where keys are free."""
    return list(shape.model_fields) if is_model(shape) else []


def may_be_off(shape: Any, key: str) -> bool:
    """Whether ``key`` holds an optional value that is never ``false`` itself, which then can mean "none"."""
    field = shape.model_fields.get(key) if is_model(shape) else None
    kinds = get_args(field.annotation) if field else ()
    return NoneType in kinds and not any(kind is bool or False in _literals(kind) for kind in kinds)


def switched_off(shape: Any, table: Any) -> Any:
    """Read ``false`` as "none" where a value may be absent, in tables below too: TOML has no null."""
    if not isinstance(table, dict):
        return table
    return {
        key: None if value is False and may_be_off(shape, key) else switched_off(_model_at(shape, key), value)
        for key, value in table.items()
    }


def _model_at(shape: Any, key: str) -> Any:
    """Return the model whose table may stand at ``key``, whatever else may."""
    field = shape.model_fields.get(key) if is_model(shape) else None
    return next(filter(is_model, _kinds(field.annotation)), None) if field else None


def _literals(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a ``Literal``, none of other kinds."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _bare(annotation: Any) -> Any:
    """Strip ``Annotated``, ``| None`` and literals; a choice between several kinds has no shape."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, UnionType):
        kinds = [one for one in get_args(annotation) if one is not NoneType and not _literals(one)]
        return _bare(kinds[0]) if len(kinds) == 1 else None
    return annotation


def misfits(annotation: Any, value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Yield the places in a table where pydantic would take a value that nobody means, with what is expected.

    ``true`` is no number, and ``false`` is one only in the sense of "none". No number is larger than what a
    64-bit integer holds, and no file has some paths.
    """
    kinds = _kinds(annotation)
    if isinstance(value, bool):
        may_be_off = not value and NoneType in kinds
        if {int, float} & set(kinds) and bool not in kinds and not may_be_off:
            yield loc, "expected a number"
    elif isinstance(value, int):
        if abs(value) > LARGEST:
            yield loc, f"expected a number up to {LARGEST}"
    elif isinstance(value, str):
        if Path in kinds and (wrong := trouble(value)):
            yield loc, f"expected a path, and {wrong}"
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from misfits(_annotation(kinds, key), below, (*loc, key))
    elif isinstance(value, (list, tuple)):
        element = next((get_args(kind)[0] for kind in kinds if get_origin(kind) in (list, tuple)), None)
        for place, below in enumerate(value):
            yield from misfits(element, below, (*loc, place))


def _kinds(annotation: Any) -> list[Any]:
    """Return the kinds of values that an annotation allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for one in get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def _annotation(kinds: list[Any], key: str) -> Any:
    """Return the annotation of a key where the values are models or mappings."""
    for kind in kinds:
        if is_model(kind) and key in kind.model_fields:
            return kind.model_fields[key].annotation
        if is_mapping(kind):
            return get_args(kind)[1]
    return None


def plain(model: BaseModel) -> dict[str, Any]:
    """Return a model as TOML values: "none" is left out, or said as ``false`` where it is no default."""
    table: dict[str, Any] = _spoken(model, model.model_dump(mode="json"))
    return table


def _spoken(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        fields = {**value.__dict__, **(value.model_extra or {})}
        kind, table = type(value), {}
        for key, below in dumped.items():
            if below is not None:
                table[key] = _spoken(fields.get(key), below)
            elif may_be_off(kind, key) and kind.model_fields[key].default is not None:
                table[key] = False
        return table
    if isinstance(value, dict) and isinstance(dumped, dict):
        return {key: _spoken(value.get(key), below) for key, below in dumped.items() if below is not None}
    if isinstance(value, (list, tuple)) and isinstance(dumped, list):
        return [_spoken(one, below) for one, below in zip(value, dumped, strict=True)]
    return dumped
