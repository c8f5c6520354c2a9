"""Turn pydantic's errors into sentences: key, expected and given value, and the nearest known key."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dlmone.core.errors import InputError

from .fields.paths import trouble
from .shape import is_mapping, known_keys, misfits, part

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Loc = tuple[str | int, ...]
#: The most characters of a wrong value that an error repeats.
LONGEST = 100
#: The most entries of a folder among which one of a like name is looked for.
MOST_BESIDE = 10_000


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all known ones."""
    known = sorted(set(known) - {name})
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {shorten(', '.join(known), 10 * LONGEST, placeholder=' …')}" if known else ""


def nearest_path(text: str, known: Iterable[str] = ()) -> str:
    """Return the end of a sentence about a path that is not there: what is there of a like name.

    Args:
        text: the path, or a name where names are taken too.
        known: those names; they are listed where nothing is near.
    """
    known = list(known)
    if not get_close_matches(text, known, n=1) and not trouble(text) and (beside := _beside(text)):
        return f"; did you mean {shortened(str(beside))!r}?"
    return nearest(text, known)


def _beside(text: str) -> Path | None:
    """Return a path whose first part that is not there is an entry of nearly that name instead."""
    path = Path(text).expanduser()
    try:
        missing = next(one for one in reversed((path, *path.parents)) if not one.exists())
        with os.scandir(missing.parent) as entries:
            names = sorted(entry.name for entry in islice(entries, MOST_BESIDE))
        close = (missing.with_name(name) for name in get_close_matches(missing.name, names))
        return next(found for one in close if (found := one / path.relative_to(missing)).exists())
    except (OSError, StopIteration):  # no folder that can be read, or nothing near
        return None


def value_at(table: Any, loc: Loc) -> Any:
    """Return the value at a key path of nested tables and lists, None if there is none."""
    for key in loc:
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def shortened(text: str) -> str:
    """Return a user's text for a sentence: its beginning, if it is long, and no line breaks."""
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[: LONGEST + 1])
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def dotted(loc: Loc, prefix: str = "") -> str:
    """Format a key path as in TOML, quoting keys that are not bare."""
    text = prefix
    for key in loc:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            text += ("." if text else "") + (key if bare else json.dumps(key, ensure_ascii=False))
    return text


def validated(
    model: type[AnyModel],
    table: dict[str, Any],
    place: Callable[[Loc], str],
    also: Iterable[str] = (),
    context: dict[str, Any] | None = None,
) -> AnyModel:
    """Return a table as its model.

    Args:
        model: the model.
        table: its values.
        place: describes the location of a key path.
        also: top-level keys that are known besides the model's own.
        context: what the model's validators look up.

    Raises:
        InputError: one line per mistake in the table.
    """
    if wrong := [
        f"{place(loc)}: {text}{_given(value_at(table, loc))}" for loc, text in misfits(model, table)
    ]:
        raise InputError("\n".join(wrong))
    try:
        return model.model_validate(table, context=context)
    except ValidationError as error:
        raise InputError("\n".join(_sentences(error, model, table, place, also))) from error


def _sentences(
    error: ValidationError,
    shape: Any,
    table: dict[str, Any],
    place: Callable[[Loc], str],
    also: Iterable[str],
) -> list[str]:
    found: dict[Loc, list[str]] = {}
    given: dict[Loc, str] = {}
    one_of_several: set[Loc] = set()
    for detail in error.errors():
        missing = detail["type"] == "missing"
        loc = _existing(detail["loc"], table, missing)
        if missing:
            text = "missing" + _sibling(loc, shape, table)
        elif detail["type"] == "extra_forbidden":
            known = [*known_keys(part(shape, *loc[:-1])), *(also if len(loc) == 1 else ())]
            text = "unknown key" + nearest(str(loc[-1]), known)
        else:
            text, given[loc] = _expected(detail["type"], detail["msg"]), _given(detail["input"])
        found.setdefault(loc, []).append(text)
        if detail["loc"][-1:] != ("[key]",) and len(detail["loc"]) > len(loc):
            one_of_several.add(loc)
    # Of several types, the one that is meant fits down to a deeper place.
    deeper = {other[:depth] for other in found for depth in range(len(other))}
    meant = [loc for loc in found if loc not in one_of_several & deeper]
    return [f"{place(loc)}: {_either(found[loc])}{given.get(loc, '')}" for loc in meant]


def _either(texts: list[str]) -> str:
    """Return what any of several types expects of one value."""
    first, *others = dict.fromkeys(texts)
    return ", or ".join([first, *(text.removeprefix("expected ") for text in others)])


def _existing(loc: Loc, table: Any, missing: bool) -> Loc:
    """Leave out of ``loc`` what is not in the table: pydantic adds the name of the type it tried."""
    found: list[str | int] = []
    for depth, key in enumerate(loc):
        if missing and depth == len(loc) - 1:
            return (*found, key)
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            continue
        found.append(key)
    return tuple(found)


def _sibling(loc: Loc, shape: Any, table: Any) -> str:
    """Name the existing stage or objective that a new one without its required keys may misspell."""
    if len(loc) < 2 or not is_mapping(part(shape, *loc[:-2])):
        return ""
    for key in loc[:-2]:
        table = table[key]
    close = get_close_matches(str(loc[-2]), set(table) - {loc[-2]}, n=1)
    return f" (or did you mean {close[0]!r} by {loc[-2]!r}?)" if close else ""


def mistakes(error: ValidationError, names: Mapping[str, str] | None = None) -> str:
    """Return what pydantic found wrong in sentences of ours, joined by semicolons.

    Args:
        error: the error.
        names: other names of top-level keys, as a foreign file has them.
    """
    found = []
    for detail in error.errors(include_url=False):
        first, *rest = detail["loc"] or ("",)
        place = dotted(((names or {}).get(str(first), first), *rest) if first != "" else ())
        text = {"missing": "missing", "extra_forbidden": "unknown key"}.get(detail["type"])
        found.append(": ".join(filter(None, (place, text or _expected(detail["type"], detail["msg"])))))
    return "; ".join(found)


def _expected(kind: str, message: str) -> str:
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a table"
    if kind in ("tuple_type", "list_type"):
        return "expected a list"
    text = re.sub(r", (unable to parse|got a number).*", "", message)
    text = re.sub(r"^\w+ should have (at (?:least|most) \d+ items?) .*", r"expected \1", text)
    text = text.removeprefix("Value error, ").replace("Input should be", "expected")
    if kind == "literal_error":
        text = re.sub(r"\b(True|False)\b", lambda found: found[0].lower(), text)
    return re.sub(r"^expected (?=greater|less)", "expected a number ", text)


def _given(value: Any) -> str:
    if isinstance(value, dict):
        return ""
    try:
        return f", got {shortened(json.dumps(value, default=str, ensure_ascii=False))}"
    except (
        ValueError,
        RecursionError,
    ):  # a whole number of thousands of digits, or a table that holds itself
        return ""
