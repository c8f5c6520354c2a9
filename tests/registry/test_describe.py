"""registry/describe.py: what a recipe and a plugin can be told, from the models."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from dlmone.registry import Registry, Time
from dlmone.registry.catalogue import KINDS
from dlmone.registry.describe import Key, describe, option_keys, recipe_keys, recipe_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "recipe.md"


class Options(BaseModel):
    """What it can be told.

    Attributes:
        first, second: a number
            of things.
    """

    first: int = Field(default=3, ge=1, lt=9)
    second: int | None = None
    #: The kind,
    #: in a word.
    kind: Literal["a", "b"] = "a"
    share: Annotated[float, Field(gt=0, description="a share")]
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(min_length=1)] | None = None


def test_type_bounds_default_and_meaning_are_told() -> None:
    assert describe(Options) == [
        Key("first", "int", "≥ 1, < 9", "3", "a number of things.", False),
        Key("second", "int | None", "", None, "a number of things.", False),
        Key("kind", '"a" | "b"', "", "a", "The kind, in a word.", False),
        Key("share", "float", "> 0", None, "a share", True),
        Key("sizes", "tuple[int, …] | None", "not empty, each ≥ 1, ≤ 10,000", None, "", False),
    ]


def test_a_table_among_the_options_is_told_with_its_keys() -> None:
    class Silent(BaseModel):
        size: int = 1

    class Outer(BaseModel):
        inner: Options | Literal["none"] | None = None
        second: Silent | None = None
        until: Time | None = None
        last: int = Field(default=0, ge=0, le=1)

    names = [key.name for key in option_keys(Outer)]
    told = [f"inner.{key.name}" for key in describe(Options)]
    assert names == ["inner", *told, "second", "until", "last"]


def test_every_table_of_a_recipe_is_found() -> None:
    paths = [path for path, _ in recipe_keys()]
    assert {"", "data", "teacher.pretrain.optimizer", "stages.NAME.objectives.NAME"} <= {*paths}
    assert len(paths) == len({*paths})


def test_the_reference_is_that_of_the_schema() -> None:
    """`dlmone recipes keys > docs/reference/recipe.md` writes it."""
    assert PAGE.read_text(encoding="utf-8") == recipe_reference()


REGISTRY = Registry.discover()
PLUGINS = [(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_option_of_a_plugin_has_its_meaning(kind: str, name: str) -> None:
    for key in option_keys(REGISTRY.options_model(kind, name)):
        assert key.type
        assert one_line(key.help), f"{kind} {name}: {key.name}"


@pytest.mark.parametrize(("path", "model"), [*recipe_keys()])
def test_every_key_of_a_recipe_has_its_meaning(path: str, model: type[BaseModel]) -> None:
    for key in describe(model):
        assert one_line(key.help), f"{path}.{key.name}"


def one_line(text: str) -> bool:
    """Whether a text is one plain line, of words."""
    return len(text.split()) > 1 and "\n" not in text


#: Numbers that take any value: seeds, and real numbers that are not there to count or to weigh.
UNBOUNDED = {"seed", "mean", "loc", "mu"}
MODELS = {model for _, model in recipe_keys()} | {REGISTRY.options_model(*place) for place in PLUGINS}


def test_every_number_has_its_bounds() -> None:
    for model in MODELS:
        for key in describe(model):
            place = f"{model.__name__}.{key.name}: {key.type}"
            if key.name not in UNBOUNDED and re.search(r"\b(int|float)\b", key.type):
                assert key.bounds, place
                # A size without an end is one that no memory holds, or that no one waits for.
                assert "float" in key.type or re.search("[<≤]", key.bounds), place


def test_no_real_number_is_nan_or_infinite() -> None:
    for model in MODELS:
        if any("float" in key.type for key in describe(model) if '"' not in key.type):
            assert model.model_config["allow_inf_nan"] is False, model.__name__
