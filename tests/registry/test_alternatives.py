"""Options of several types: one sentence says what is wrong, and ``false`` is none unless it is a value."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from dlmone.core import InputError
from dlmone.registry import Registry
from dlmone.registry.shape import switched_off

REGISTRY = Registry.discover()

ALTERNATIVES = [
    ({"chain": {"wieght": 1}}, "chain.wieght: unknown key; did you mean 'weight'?"),
    ({"chain": {"weight": -1}}, "chain.weight: expected a number greater than or equal to 0, got -1"),
    ({"chain": True}, "chain: expected a table, or 'model', got true"),
    ({"chain": "none"}, "chain: expected a table, or 'model', got \"none\""),
    ({"spacing": "tiem"}, "spacing: expected 'time', 'ratio' or 'log_snr', or a list, got \"tiem\""),
    (
        {"spacing": [1, "a"]},
        'spacing[1]: expected a number, or a table with one of the keys ratio and quantile, got "a"',
    ),
]


@pytest.mark.parametrize(("table", "sentence"), ALTERNATIVES)
def test_where_an_option_may_be_of_several_types_one_sentence_says_what_is_wrong(
    table: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as failure:
        REGISTRY.options("samplers", "langflow", table, "langflow")
    assert str(failure.value) == f"langflow.{sentence}"


class Below(BaseModel, extra="forbid"):
    none: int | None = 1


class Switches(BaseModel, extra="forbid"):
    chain: Literal[False] | int | None = 1
    none: int | None = 1
    below: Below | Literal["model"] | None = None


def test_false_is_none_unless_the_option_has_a_false_of_its_own() -> None:
    assert switched_off(Switches, {"chain": False, "none": False}) == {"chain": False, "none": None}


def test_false_is_none_in_a_table_below_too() -> None:
    table = {"below": {"none": False}}
    assert switched_off(Switches, table) == {"below": {"none": None}}
    assert Switches.model_validate(switched_off(Switches, table)).below == Below(none=None)
    assert switched_off(Switches, {"below": False, "none": 2}) == {"below": None, "none": 2}
    options = REGISTRY.options("samplers", "langflow", {"chain": {"copy_floor": False}}, "langflow")
    assert options.chain.copy_floor is None  # type: ignore[attr-defined]
