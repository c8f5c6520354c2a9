"""registry/describe.py: what a recipe and a plugin can be told, from the models."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from dlmone.registry import Registry
from dlmone.registry.describe import Key, describe, recipe_keys, recipe_reference

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


def test_type_bounds_default_and_meaning_are_told() -> None:
    assert describe(Options) == [
        Key("first", "int", "≥ 1, < 9", "3", "a number of things.", False),
        Key("second", "int | None", "", None, "a number of things.", False),
        Key("kind", '"a" | "b"', "", "a", "The kind, in a word.", False),
        Key("share", "float", "> 0", None, "a share", True),
    ]


def test_every_table_of_a_recipe_is_found() -> None:
    paths = [path for path, _ in recipe_keys()]
    assert {"", "data", "teacher.pretrain.optimizer", "stages.NAME.objectives.NAME"} <= {*paths}
    assert len(paths) == len({*paths})


def test_the_reference_is_that_of_the_schema() -> None:
    """`dlmone recipes keys > docs/reference/recipe.md` writes it."""
    assert PAGE.read_text(encoding="utf-8") == recipe_reference()


@pytest.mark.parametrize("kind", ["data", "tokenizers", "evaluators"])
def test_every_option_of_data_and_tokenizers_has_a_type(kind: str) -> None:
    registry = Registry.discover()
    for name in registry.names(kind):
        for key in describe(registry.options_model(kind, name)):
            assert key.type
            assert key.help or kind == "evaluators", (name, key.name)
