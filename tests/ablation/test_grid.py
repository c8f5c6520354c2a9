"""Rows of a grid: from a file, from varied values, and both."""

from pathlib import Path

import pytest

from dlmone.ablation.grid import GridRow, grid_rows, read_grid
from dlmone.core import InputError
from dlmone.registry.loading.files import read_recipe

GRID = """
extends = "qqp"
name = "rows"

[grid]
passes = 1000

[grid.rows.a]
stages.stage-1.batch = 8
search = { "stages.stage-1.generator.lr" = [1e-4, 2e-4], "stages.stage-1.estimator.lr" = [1e-3] }

[grid.rows."b+c"]
"""


def rows(path: Path, text: str, *vary: str) -> list[GridRow]:
    file = path / "grid.toml"
    file.write_text(text)
    recipe = read_recipe(file)
    return grid_rows(recipe, read_grid(recipe), vary)


def test_a_file_gives_rows_with_their_changes_and_searches(tmp_path: Path) -> None:
    a, b = rows(tmp_path, GRID)
    assert (a.name, b.name) == ("a", "b+c")
    assert a.layer is not None
    assert a.layer.table == {"stages": {"stage-1": {"batch": 8}}}
    keys = ("stages.stage-1.generator.lr", "stages.stage-1.estimator.lr")
    assert a.candidates == [
        ("generator.lr=0.0001,estimator.lr=0.001", tuple(zip(keys, (1e-4, 1e-3), strict=True))),
        ("generator.lr=0.0002,estimator.lr=0.001", tuple(zip(keys, (2e-4, 1e-3), strict=True))),
    ]
    assert b.candidates == [("", ())]


def test_varied_values_multiply_the_rows_of_a_file(tmp_path: Path) -> None:
    found = rows(tmp_path, GRID, "stages.*.batch=8,16", 'compute.device=["cpu"]')
    assert [row.name for row in found] == [
        "a,batch=8,device=cpu",
        "a,batch=16,device=cpu",
        "b+c,batch=8,device=cpu",
        "b+c,batch=16,device=cpu",
    ]
    assert found[1].settings == (("stages.*.batch", 16), ("compute.device", "cpu"))


def test_tables_can_be_varied_and_are_named_by_their_plugin(tmp_path: Path) -> None:
    text = 'extends = "qqp"\nname = "plain"\n'
    found = rows(tmp_path, text, 's.score=[{ use = "sid", mu = 1.0 }, { use = "sds" }]')
    assert [row.name for row in found] == ["score=sid", "score=sds"]
    assert found[0].settings == (("s.score", {"use": "sid", "mu": 1.0}),)


@pytest.mark.parametrize(
    ("text", "vary", "sentence"),
    [
        ("", [], "has no rows; give --vary KEY=VALUE,VALUE, or write them as"),
        ("[grid]\nsead = 3", [], "grid.sead: unknown key; did you mean 'seeds'?"),
        ('[grid.rows."a/b"]', [], 'grid.rows."a/b": expected a name for a folder'),
        ("[grid.rows.a]\nsearch = [1]", [], r"\[grid.rows.a\]: search: expected keys and their values"),
        (
            "[grid.rows.a]\nsearch = { x = [] }",
            [],
            r"\[grid.rows.a\]: search: expected keys and their values",
        ),
        ('[grid.rows.a]\nsearch = { x = ["b/c"] }', [], "search: expected a name for a folder"),
        ("", ["x=models/a"], "--vary: expected a name for a folder"),
        ("", ["x=1,1"], "two rows have the name x=1"),
        ("", ["x="], "--vary x=: expected KEY=VALUE,VALUE"),
        ("grid = 3", [], "grid: expected a table"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, vary: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        rows(tmp_path, f'extends = "qqp"\nname = "rows"\n{text}', *vary)
