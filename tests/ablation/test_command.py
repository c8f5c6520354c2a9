"""dlmone ablate before anything is run: rows from the command line, and what it refuses."""

from pathlib import Path

import pytest

from .small import RECIPE, dlmone


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--only", "sod"], "--only sod: there is no such row; did you mean 'sid'?"),
        (["--vary", "teacher.width=8,16"], "row sid,width=8: changes the teacher, which all rows share"),
        (["--vary", "stages.one.stepz=1,2"], "stages.one.stepz: unknown key; did you mean 'steps'?"),
        (["--vary", "seed=1,2"], "row sid,seed=1: seed: every row has the same seeds, those of --seed and"),
        (["--vary", "#=1,2"], "grid: '#' is not a key like stages.stage-1.steps"),
        (["--vary", "stages.one.steps"], "--vary stages.one.steps: expected KEY=VALUE,VALUE"),
        (
            ["--vary", "stages.one.t_init=1,9999"],
            "row sid,t_init=9999: stages.one.t_init: time 9999 is outside",
        ),
        (
            ["--passes", "40"],
            "row sid: stages.one: 40 passes pay for 0 iterations, too few for θ's first update",
        ),
    ],
)
def test_bad_rows_are_found_before_anything_is_run(workplace: Path, args: list[str], sentence: str) -> None:
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "none", *args)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert sentence in answer.stderr
    assert not (workplace / "none").exists()


def test_a_grid_is_not_written_among_other_files(workplace: Path) -> None:
    folder = workplace / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for out, sentence in (
        ("mine", "mine is not empty: it holds no grid; name another folder"),
        ("grid.toml", "grid.toml: a file, where a folder for the grid was expected"),
    ):
        answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", out)
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert sentence in answer.stderr
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_values_that_are_varied_make_rows_of_any_recipe(workplace: Path) -> None:
    (workplace / "plain.toml").write_text(RECIPE[: RECIPE.index("[grid]")])
    assert "has no rows; give --vary" in dlmone("ablate", "plain.toml", "--plugin", "boom.py").stderr
    vary = ["--vary", "stages.*.objectives.score.use=sid,sds", "--vary", "stages.one.generator.lr=1e-3,1e-2"]
    answer = dlmone("ablate", "plain.toml", "--plugin", "boom.py", *vary, "--seeds", 1, "--dry-run")
    assert answer.exit_code == 0, answer.output
    assert [line.split()[0] for line in answer.stdout.splitlines()[1:]] == [
        "score=sid,lr=0.001",
        "score=sid,lr=0.01",
        "score=sds,lr=0.001",
        "score=sds,lr=0.01",
    ]
