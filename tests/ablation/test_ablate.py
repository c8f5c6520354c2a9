"""dlmone ablate: tiny grids, run, stopped, continued, shared by two processes, refused where they must be."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main

RECIPE = """
extends = "one_stage.toml"

[data]
use = "jsonl"
path = "data"

[teacher]
seq_len = 12

[stages.one]
generator = { lr = 3e-2, schedule = "linear" }
estimator = { lr = 1e-3 }
weights = "raw"
validation = { every = 3, examples = 4, metric = "letters" }

[evaluation]
teacher_steps = [1, 3]
student_steps = [1, 2]
metrics = { letters = { use = "letters" }, dist_1 = { use = "dist_1" } }

[grid]
seeds = 2
passes = 264    # six iterations of SiD

[grid.rows.sid]

[grid.rows.sds]
stages.one.objectives.score.use = "sds"
search = { "stages.one.generator.lr" = [1e-3, 3e-2] }

[grid.rows.wrong]
stages.one.objectives.score.use = "boom"
"""
BASE = Path(__file__).parents[1] / "one_stage.toml"
#: A score of which less is better, an objective whose run fails, and a Ctrl-C in the third step of a run.
PLUGIN = """
import os, signal
from pathlib import Path
from dlmone.core import DlmoneError, Evaluator, Objective, Request, Score, TEACHER, Noised
from dlmone.registry import hookimpl
from pydantic import BaseModel

class Options(BaseModel, extra="forbid"):
    pass

class Boom(Objective):
    def __init__(self, options):
        pass

    def requests(self, role):
        return (Request(TEACHER, Noised()),) if role == "generator" else None

    def generator_loss(self, step):
        raise DlmoneError("it went off")

class Letters(Evaluator):
    def __init__(self, options):
        pass

    def evaluate(self, samples):
        letters = [ord(letter) for sample in samples for letter in sample.candidates[0]]
        return [Score("letters", sum(letters) / len(letters), "letters", "lower")]

@hookimpl
def register_evaluators(register):
    register("letters", f"{__name__}:Letters", options=f"{__name__}:Options")

@hookimpl
def register_objectives(register):
    register("boom", f"{__name__}:Boom", options=f"{__name__}:Options")

running = []

@hookimpl
def run_started(run_dir):
    running.append(run_dir)

@hookimpl
def step_finished(stage, step):
    once = Path("stopped")
    if not once.exists() and step == 3 and str(running[-1]).endswith("sid/seed-1"):
        once.touch()
        os.kill(os.getpid(), signal.SIGINT)
"""


def dlmone(*args: object) -> Result:
    return CliRunner().invoke(main, list(map(str, args)))


def log(run: Path) -> list[dict]:
    """A run's log without its clock."""
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds_per_step"} for entry in entries]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("work")
    (path / "grid.toml").write_text(RECIPE)
    shutil.copy(BASE, path)
    (path / "boom.py").write_text(PLUGIN)
    (path / "data").mkdir()
    words = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu", "hen"]
    triples = [words[i:] + words[:i] for i in range(8)]
    lines = [json.dumps({"src": " ".join(one[:3]), "trg": " ".join(one[2::-1])}) + "\n" for one in triples]
    for split, rows in (("train", lines), ("valid", lines[:4]), ("test", lines[4:])):
        (path / "data" / f"{split}.jsonl").write_text("".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("DLMONE_CACHE", str(path / "cache"))
        yield path


@pytest.fixture(scope="module")
def stopped(workplace: Path) -> Result:
    return dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid")


@pytest.fixture(scope="module")
def finished(workplace: Path, stopped: Result) -> Result:
    return dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid", "--format", "json")


@pytest.fixture(scope="module")
def table(finished: Result) -> dict:
    return json.loads(finished.stdout)


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


def test_every_row_spends_the_same_passes(workplace: Path, table: dict) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    # SiD: θ's output twice, 1 + 3; ψ trained 3; φ and ψ with gradient to their input 2 + 2. SDS: 3 + 1.
    assert rows["sid"]["passes"] == 6 * 4 * (1 + 3 + 3 + 2 + 2)
    assert rows["sds"]["passes"] == 16 * 4 * (3 + 1)
    trained = [
        entry for entry in log(workplace / "grid/runs/sds/lr=0.001/seed-0") if entry["kind"] == "train"
    ]
    assert trained[-1]["step"] == 16
    validated = [
        entry["step"]
        for entry in log(workplace / "grid/runs/sds/lr=0.001/seed-0")
        if entry["kind"] == "validation"
    ]
    assert validated == [0, 8, 16]  # as often as SiD's, which are at 3 and 6


def test_numbers_are_those_of_the_runs(workplace: Path, table: dict) -> None:
    def scores(run: Path, role: str, calls: int) -> dict[str, float]:
        rows = json.loads((run / "report" / "results.json").read_text())["rows"]
        [row] = [r for r in rows if r["setting"] and r["setting"]["role"] == role and r["calls"] == calls]
        return {name: score["value"] for name, score in row["scores"].items()}

    row = next(row for row in table["rows"] if row["name"] == "sid")
    for calls in (1, 2):
        values = [scores(workplace / f"grid/runs/sid/seed-{seed}", "student", calls) for seed in (0, 1)]
        for name, found in row["scores"][str(calls)].items():
            own = [one[name] for one in values]
            assert found["values"] == own
            assert found["mean"] == pytest.approx(fmean(own))
            half = 12.706204736 * stdev(own) / 2**0.5
            assert found["interval"] == pytest.approx([fmean(own) - half, fmean(own) + half])
    assert any(len(set(found["values"])) > 1 for found in row["scores"]["1"].values())
    for calls in (1, 3):
        assert table["teacher"][str(calls)] == scores(workplace / "grid/teacher", "teacher", calls)
    for run in (workplace / "grid/runs").rglob("results.json"):
        assert "teacher" not in {one["model"] for one in json.loads(run.read_text())["rows"]}


def test_a_search_selects_by_validation_and_only_the_selected_value_gets_all_seeds(
    workplace: Path, table: dict
) -> None:
    row = next(row for row in table["rows"] if row["name"] == "sds")
    best = {}
    for name in ("lr=0.001", "lr=0.03"):
        entries = log(workplace / "grid/runs/sds" / name / "seed-0")
        best[name] = min(entry["raw/letters"] for entry in entries if entry["kind"] == "validation")
    assert {one["name"]: one["value"] for one in row["tried"]} == best
    assert row["chosen"] == min(best, key=best.__getitem__)
    for name in best:
        assert (workplace / "grid/runs/sds" / name / "seed-1").exists() == (name == row["chosen"])
    said = f"- sds: selected {row['chosen']} by validation letters of the first seed, among lr=0.001 "
    assert said in (workplace / "grid/table.md").read_text()


def test_students_differ_by_seed_and_the_teacher_does_not(workplace: Path, finished: Result) -> None:
    recipes = [(workplace / f"grid/runs/sid/seed-{seed}/recipe.toml").read_text() for seed in (0, 1)]
    assert [f"seed = {seed}\n" in recipe for seed, recipe in enumerate(recipes)] == [True, True]
    assert all('path = "grid/teacher/teacher"' in recipe for recipe in recipes)
    assert log(workplace / "grid/runs/sid/seed-0") != log(workplace / "grid/runs/sid/seed-1")


def test_the_folder_holds_the_table(workplace: Path, finished: Result, table: dict) -> None:
    assert json.loads((workplace / "grid/results.json").read_text())["rows"] == table["rows"]
    text = (workplace / "grid/table.md").read_text()
    assert "| wrong | 0 | failed |" in text
    assert "- wrong failed: it went off" in text
    lines = list(csv.DictReader(io.StringIO((workplace / "grid/table.csv").read_text())))
    one = next(line for line in lines if (line["row"], line["nfe"], line["score"]) == ("sid", "2", "dist_1"))
    row = next(row for row in table["rows"] if row["name"] == "sid")
    assert float(one["mean"]) == row["scores"]["2"]["dist_1"]["mean"]


def test_the_folder_holds_a_page_and_a_figure_of_the_rows_that_finished(
    workplace: Path, finished: Result
) -> None:
    assert finished.stderr.splitlines()[-1] == "report: grid/report.html"
    page = (workplace / "grid/report.html").read_text()
    assert "wrong failed: it went off" in page
    assert "<img src=" in page
    assert "selected" in page
    assert (workplace / "grid/grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_alone_is_printed_of_what_is_finished_and_nothing_is_run(
    workplace: Path, finished: Result
) -> None:
    shutil.copytree(workplace / "grid/runs/sid", workplace / "part/runs/sid")
    shutil.copytree(workplace / "grid/runs/sds/lr=0.001/seed-0", workplace / "part/runs/sds/lr=0.001/seed-0")
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "part", "--table-only")
    assert answer.exit_code == 0, answer.output
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["wrong", "0", "to", "come"] in [line[:4] for line in lines]
    assert any("sds: none selected by validation letters" in line for line in answer.stdout.splitlines())
    assert "lr=0.03 to come" in answer.stdout
    assert not (workplace / "part/runs/wrong").exists()
    # A version that did not know a key of the evaluation yet had its default.
    recipe = workplace / "part/runs/sid/seed-0/recipe.toml"
    assert "\nbatch = 64\n" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("\nbatch = 64\n", "\n"))
    assert dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "part", "--table-only").stdout == (
        answer.stdout
    )
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "nowhere", "--table-only")
    assert answer.stderr.splitlines()[-1] == "error: nowhere: there is no grid here"


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


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--only", "sod"], "--only sod: there is no such row; did you mean 'sid'?"),
        (["--vary", "teacher.width=8,16"], "row sid,width=8: changes the teacher, which all rows share"),
        (["--vary", "stages.one.stepz=1,2"], "stages.one.stepz: unknown key; did you mean 'steps'?"),
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
