"""docs/choices.md: every key that it names exists, with the default that it states."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from dlmone.registry import Recipe, Registry
from dlmone.registry.catalogue import KINDS
from dlmone.registry.shape import known_keys, part

PAGE = (Path(__file__).parents[2] / "docs" / "choices.md").read_text(encoding="utf-8")
REGISTRY = Registry.discover()
#: The rows of the tables, less their heads; the keys stand in the last column.
ROWS = re.findall(r"^\|(?! question | ---|---)(.+)\|$", PAGE, re.MULTILINE)
KEYS = {row.rsplit("|", 1)[1].strip() for row in ROWS}
STATED = sorted(key for keys in KEYS if not keys.startswith("fixed") for key in re.findall(r"`(.+?)`", keys))


def place(path: list[str]) -> tuple[type[BaseModel], list[str]]:
    """Return where a path starts, the recipe or a plugin's options, and the path below."""
    if path[0] in known_keys(Recipe):
        return Recipe, path
    plugin, *option = path
    for kind in KINDS:
        if plugin in REGISTRY.names(kind) and option[0] in known_keys(
            model := REGISTRY.options_model(kind, plugin)
        ):
            return model, option
    raise LookupError(f"no section of the recipe and no plugin has the key {'.'.join(path)}")


def default_of(shape: type[BaseModel], path: list[str]) -> Any:
    """Return a key's default; that of the section around it, where this has one, comes first."""
    *above, key = path
    section = part(shape, *above)
    if key not in known_keys(section):
        raise LookupError(f"there is no key {'.'.join(path)}")
    around = default_of(shape, above) if above and above[-1] in known_keys(part(shape, *above[:-1])) else None
    return getattr(around, key) if isinstance(around, BaseModel) else section.model_fields[key].get_default()


def check(stated: str) -> None:
    """Compare ``KEY = VALUE`` (or ``KEY``, off by default) with the code."""
    key, _, value = stated.partition(" = ")
    actual = to_jsonable_python(default_of(*place(key.split("."))))
    assert actual == (tomllib.loads(f"value = {value}")["value"] if value else None), stated


@pytest.mark.parametrize("stated", STATED)
def test_a_key_exists_and_has_the_default_that_is_stated(stated: str) -> None:
    check(stated)


def test_every_row_says_where_its_choice_is_made() -> None:
    assert len(STATED) > 50
    assert [keys for keys in KEYS if not (keys.startswith("fixed") or "`" in keys)] == []


@pytest.mark.parametrize("wrong", ["stages.S.generator_input", "sid.nu = 1.2", "somewhere.else"])
def test_a_key_that_does_not_exist_is_found(wrong: str) -> None:
    with pytest.raises(LookupError):
        check(wrong)


@pytest.mark.parametrize("wrong", ["sid.mu = 1.0", "stages.S.batch", "stages.S.estimator.lr = 3e-5"])
def test_another_default_is_found(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(wrong)
