"""dlmone ablate: a tiny grid, run, stopped, continued, changed, shared by two processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from click.testing import Result

from .small import dlmone, log


def test_ctrl_c_leaves_a_grid_that_the_same_command_continues(stopped: Result, finished: Result) -> None:
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == "the same command continues the grid in grid"
    assert "one: resumed at step 3" in finished.stderr
    again = [line for line in finished.stderr.splitlines() if line.startswith("run directory ")]
    assert any("grid/runs/sid/seed-1" in line for line in again)
    # The runs that had finished, the teacher's among them, are not run again.
    assert not any("sid/seed-0" in line or "grid/teacher" in line for line in again)


def test_an_interrupted_row_is_the_row_that_was_never_interrupted(workplace: Path, finished: Result) -> None:
    shutil.copytree(workplace / "grid" / "teacher", workplace / "whole" / "teacher")
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "whole", "--only", "sid")
    assert answer.exit_code == 0, answer.output
    assert log(workplace / "whole/runs/sid/seed-1") == log(workplace / "grid/runs/sid/seed-1")


def test_a_row_that_fails_is_shown_with_its_sentence_and_the_others_go_on(
    finished: Result, table: dict
) -> None:
    assert finished.exit_code == 1
    rows = {row["name"]: row for row in table["rows"]}
    assert rows["wrong"]["failures"] == ["it went off", "it went off"]
    assert rows["wrong"]["scores"] == {}
    assert [rows[name]["seeds"] for name in ("sid", "sds")] == [[0, 1], [0, 1]]


def test_students_differ_by_seed_and_the_teacher_does_not(workplace: Path, finished: Result) -> None:
    recipes = [(workplace / f"grid/runs/sid/seed-{seed}/recipe.toml").read_text() for seed in (0, 1)]
    assert [f"seed = {seed}\n" in recipe for seed, recipe in enumerate(recipes)] == [True, True]
    assert all('path = "grid/teacher/teacher"' in recipe for recipe in recipes)
    assert log(workplace / "grid/runs/sid/seed-0") != log(workplace / "grid/runs/sid/seed-1")


def test_a_failed_row_is_tried_again_and_what_is_finished_is_not(workplace: Path, finished: Result) -> None:
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid")
    assert answer.exit_code == 1
    again = [line for line in answer.stderr.splitlines() if line.startswith("run directory ")]
    assert [line.split(";")[0].split("/")[-2:] for line in again] == [
        ["wrong", "seed-0"],
        ["wrong", "seed-1"],
    ]


def test_a_changed_row_is_refused_in_one_sentence(workplace: Path, finished: Result) -> None:
    answer = dlmone(
        "ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid", "--set", "stages.one.batch=2"
    )
    assert answer.exit_code == 2
    line = next(line for line in answer.stderr.splitlines() if "runs/sid/seed-0" in line)
    assert line.startswith("error: grid/runs/sid/seed-0 was run with stages.one.")
    assert line.endswith("delete this folder to run it again, or give another --out")


def test_another_evaluation_evaluates_again_and_trains_nothing(workplace: Path, finished: Result) -> None:
    shutil.copytree(workplace / "grid", workplace / "later")
    before = log(workplace / "later/runs/sid/seed-0")
    args = ["--plugin", "boom.py", "--out", "later", "--only", "sid", "--set", "evaluation.examples=2"]
    answer = dlmone("ablate", "grid.toml", *args, "--format", "json")
    assert answer.exit_code == 1  # the row that failed is still shown
    assert json.loads(answer.stdout)["examples"] == 2
    assert log(workplace / "later/runs/sid/seed-0") == before


def test_two_processes_share_a_grid(workplace: Path, finished: Result) -> None:
    shutil.copytree(workplace / "grid" / "teacher", workplace / "shared" / "teacher")
    words = ["ablate", "grid.toml", "--plugin", "boom.py", "--out", "shared", "--only", "sid", "--seeds", "3"]
    line = [sys.executable, "-m", "dlmone", *words, "--format", "json"]
    pair = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], told
    # Each run was made once, by one of the two, and both show the whole table.
    made = [line for _, stderr in told for line in stderr.splitlines() if line.startswith("run directory ")]
    assert len(made) == len({one.split(";")[0] for one in made}) == 3
    tables = [json.loads(stdout) for stdout, _ in told]
    assert tables[0]["rows"] == tables[1]["rows"]
    assert next(row for row in tables[0]["rows"] if row["name"] == "sid")["seeds"] == [0, 1, 2]
