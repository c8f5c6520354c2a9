"""Merging: the laws of layers, and what ``--set`` addresses."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core.errors import InputError
from dlmone.registry.loading.layers import Layer, layer_of_overrides, merge, origin, stack

numbers = st.integers(0, 9)


def tables(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


times = numbers | st.fixed_dictionaries({"quantile": numbers}) | st.fixed_dictionaries({"ratio": numbers})
slot_keys = {"generator_weight": numbers, "mu": numbers, "nested": tables(a=numbers, b=numbers)}
plain_slots = tables(**slot_keys)
slots = tables(use=st.sampled_from(["sid", "diff_instruct"]), **slot_keys)


def layers_of(objective: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objectives = st.dictionaries(st.sampled_from(["score", "adv"]), objective)
    stage = tables(steps=numbers, t_init=times, objectives=objectives)
    stages = st.dictionaries(st.sampled_from(["one", "two"]), stage)
    return tables(seed=numbers, name=st.text(), stages=stages)


layers = layers_of(slots)


def leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and key != "t_init":
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@given(layers)
def test_an_empty_layer_changes_nothing_above_or_below(table: dict[str, Any]) -> None:
    assert merge(table, {}) == table == merge({}, table)


@given(layers, layers)
def test_later_layers_win(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    merged = dict(leaves(merge(lower, upper)))
    assert all(merged[path] == value for path, value in leaves(upper))
    assert merged.keys() <= dict(leaves(lower)).keys() | dict(leaves(upper)).keys()


@given(layers_of(plain_slots), layers_of(plain_slots))
def test_what_no_upper_layer_names_stays(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    merged, named = dict(leaves(merge(lower, upper))), dict(leaves(upper))
    assert all(merged[path] == value for path, value in leaves(lower) if path not in named)


@given(layers, layers)
def test_merging_twice_is_merging_once_and_alters_neither(
    lower: dict[str, Any], upper: dict[str, Any]
) -> None:
    before = copy.deepcopy((lower, upper))
    once = merge(lower, upper)
    assert merge(once, upper) == once
    assert (lower, upper) == before


@given(slots, slots)
def test_a_new_plugin_sheds_the_options_of_the_old_one(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    below, above = ({"stages": {"one": {"objectives": {"score": slot}}}} for slot in (lower, upper))
    merged = merge(below, above)["stages"]["one"]["objectives"]["score"]
    if "use" in lower and upper.get("use", lower["use"]) != lower["use"]:
        own = {key: value for key, value in lower.items() if key == "generator_weight"}
        assert merged == own | upper
    else:
        assert merged.keys() == lower.keys() | upper.keys()


def test_stages_keep_the_order_of_their_first_appearance() -> None:
    merged = merge(
        {"stages": {"b": {"steps": 1}, "a": {}}}, {"stages": {"c": {}, "a": {}, "b": {"steps": 2}}}
    )
    assert list(merged["stages"]) == ["b", "a", "c"]


def test_a_time_is_replaced_whole() -> None:
    below = {"stages": {"one": {"t_init": {"ratio": 2.5}}}}
    merged = merge(below, {"stages": {"one": {"t_init": {"quantile": 0.5}}}})
    assert merged["stages"]["one"]["t_init"] == {"quantile": 0.5}


def test_a_time_among_a_plugins_options_is_replaced_whole() -> None:
    def recipe(until: Any) -> dict[str, Any]:
        return {"stages": {"one": {"objectives": {"r": {"until": until, "steps": 3}}}}}

    merged = merge(recipe({"ratio": 2.5}), recipe({"quantile": 0.5}))
    assert merged == recipe({"quantile": 0.5})
    assert merge(recipe(4), recipe({"ratio": 2.5})) == recipe({"ratio": 2.5})


def test_a_part_whose_name_is_a_key_of_times_is_merged() -> None:
    below = {"evaluation": {"metrics": {"ratio": {"use": "a", "n": 1}, "other": {"use": "b"}}}}
    merged = merge(below, {"evaluation": {"metrics": {"ratio": {"n": 2}}}})
    assert merged["evaluation"]["metrics"] == {"ratio": {"use": "a", "n": 2}, "other": {"use": "b"}}


def test_false_takes_a_named_part_out_and_only_one_that_is_there() -> None:
    below = {"stages": {"one": {"objectives": {"score": {"use": "sid"}, "adversarial": {}}}}}
    above = {"stages": {"one": {"objectives": {"adversarial": False}}}}
    assert merge(below, above) == {"stages": {"one": {"objectives": {"score": {"use": "sid"}}}}}
    typo = {"stages": {"one": {"objectives": {"adversaral": False}}}}
    sentence = r"^x\.toml: stages\.one\.objectives\.adversaral: .* did you mean 'adversarial'\?$"
    with pytest.raises(InputError, match=sentence):
        merge(below, typo, source="x.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-5", 1e-5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("{ quantile = 0.5 }", {"quantile": 0.5}),
        ('"3"', "3"),
        ("sid", "sid"),
        ("data/QQP", "data/QQP"),
        ("2024-01-01", "2024-01-01"),
        ("a = b", "a = b"),
        ("1\nb = 2", "1\nb = 2"),
        ("", ""),
    ],
)
def test_a_set_value_is_toml_or_a_bare_word(text: str, value: object) -> None:
    layer = layer_of_overrides({}, [f"a.b={text}"])
    assert layer == Layer("--set", {"a": {"b": value}})
    assert type(layer.table["a"]["b"]) is type(value)


def test_a_star_stands_for_every_key() -> None:
    below = {"stages": {"stage-1": {}, "my stage": {"steps": 1}}}
    layer = layer_of_overrides(below, ["stages.new.steps=5", "stages.*.steps=2", 'stages."my stage".batch=3'])
    assert layer.table == {
        "stages": {"new": {"steps": 2}, "stage-1": {"steps": 2}, "my stage": {"steps": 2, "batch": 3}}
    }


def test_sets_are_one_layer_so_that_their_order_drops_no_option() -> None:
    below = {"data": {"use": "a", "x": 1}}
    for texts in (["data.use=b", "data.y=2"], ["data.y=2", "data.use=b"]):
        assert merge(below, layer_of_overrides(below, texts).table) == {"data": {"use": "b", "y": 2}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed", "expected KEY=VALUE"),
        ("a b=1", "'a b' is not a key"),
        ("=1", "'' is not a key"),
        ("seed=[1", "the value is not TOML"),
        ("nothing.*.steps=1", r"there is nothing that \* could stand for"),
    ],
)
def test_a_set_that_cannot_be_read_says_why(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        layer_of_overrides({}, [text])


def test_the_origin_of_a_value_is_the_topmost_layer_that_has_it() -> None:
    below, above = Layer("below", {"a": {"b": 1, "c": [1]}}), Layer("above", {"a": {"b": 2}})
    assert stack([below, above]) == {"a": {"b": 2, "c": [1]}}
    assert [origin([below, above], loc) for loc in [("a", "b"), ("a", "c", 0), ("a", "x"), ("y",)]] == [
        "above",
        "below",
        "above",
        "above",
    ]
