"""pydantic's errors as sentences: the key, what was expected, what was given, and the nearest known key."""

import json
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from .shape import is_mapping, known_keys, part

Loc = tuple[str | int, ...]


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, or which there are: the end of a sentence about an unknown one."""
    known = sorted(set(known) - {name})
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def dotted(loc: Loc, prefix: str = "") -> str:
    """Write a key path as TOML does, quoting what is no bare key."""
    text = prefix
    for key in loc:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            text += ("." if text else "") + (key if bare else json.dumps(key))
    return text


def sentences(
    error: ValidationError,
    shape: Any,
    table: dict[str, Any],
    place: Callable[[Loc], str],
    also: Iterable[str] = (),
) -> list[str]:
    """Return one sentence for each thing wrong with ``table``.

    Args:
        error: what validating ``table`` raised.
        shape: the model it was validated against.
        place: turns a key path into the words that say where it is.
        also: top-level keys that are known besides the model's own.
    """
    lines = []
    for detail in error.errors():
        missing = detail["type"] == "missing"
        loc = _existing(detail["loc"], table, missing)
        if missing:
            text = "missing" + _sibling(loc, shape, table)
        elif detail["type"] == "extra_forbidden":
            known = [*known_keys(part(shape, *loc[:-1])), *(also if len(loc) == 1 else ())]
            text = "unknown key" + nearest(str(loc[-1]), known)
        else:
            text = _expected(detail["type"], detail["msg"]) + _given(detail["input"])
        lines.append(f"{place(loc)}: {text}")
    return lines


def _existing(loc: Loc, table: Any, missing: bool) -> Loc:
    """Cut ``loc`` where it leaves the table: pydantic appends the name of the type it tried."""
    for depth, key in enumerate(loc):
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return loc[: depth + 1] if missing and depth == len(loc) - 1 else loc[:depth]
    return loc


def _sibling(loc: Loc, shape: Any, table: Any) -> str:
    """A new stage or objective that lacks its keys may be a misspelt old one: say which."""
    if len(loc) < 2 or not is_mapping(part(shape, *loc[:-2])):
        return ""
    for key in loc[:-2]:
        table = table[key]
    close = get_close_matches(str(loc[-2]), set(table) - {loc[-2]}, n=1)
    return f" (or did you mean {close[0]!r} by {loc[-2]!r}?)" if close else ""


def _expected(kind: str, message: str) -> str:
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a table"
    text = re.sub(r", (unable to parse|got a number).*", "", message)
    text = text.removeprefix("Value error, ").replace("Input should be", "expected")
    return re.sub(r"^expected (?=greater|less)", "expected a number ", text)


def _given(value: Any) -> str:
    return "" if isinstance(value, dict) else f", got {json.dumps(value, default=str, ensure_ascii=False)}"
