"""Models as plain TOML values: TOML has no null, so "none" is left out, or said as ``false``."""

from typing import Any

from pydantic import BaseModel

from .shape import may_be_off


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
