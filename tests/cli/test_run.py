"""dlmone run and dlmone pretrain: a tiny run, stopped, resumed, and refused where it must be."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

RECIPE = """
extends = "one_stage.toml"
note = "A run that says nothing."
profile = "first"
profiles.first.seed = 1
profiles.second.seed = 2

[data]
use = "questions"
train = 500
valid = 4
test = 4

[teacher]
seq_len = 36

[stages.one]
generator = { lr = 1e-4 }
estimator = { lr = 1e-4 }
validation = { every = 6, examples = 2 }

[evaluation]
teacher_steps = [1]
student_steps = [1]
metrics = { bleu = { use = "bleu" } }
"""
BASE = Path(__file__).parents[1] / "one_stage.toml"
#: Presses Ctrl-C once, in the third step of stage one.
STOP = """
import os, signal
from pathlib import Path
from dlmone.registry import hookimpl

@hookimpl
def step_finished(stage, step):
    done = Path(__file__).with_suffix(".done")
    if stage == "one" and step == 3 and not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGINT)
"""


def dlmone(*args):
    return CliRunner().invoke(main, list(map(str, args)))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the recipe, in which the tests run; the cache of teachers is in it too."""
    path = tmp_path_factory.mktemp("work")
    (path / "tiny.toml").write_text(RECIPE)
    shutil.copy(BASE, path)
    (path / "stop.py").write_text(STOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("DLMONE_CACHE", str(path / "cache"))
        yield path


@pytest.fixture(scope="module")
def stopped(workplace):
    """A run that was stopped with Ctrl-C in ``runs/tiny-first-1``."""
    return dlmone("run", "tiny.toml", "--plugin", "stop.py")


@pytest.fixture(scope="module")
def finished(workplace, stopped):
    """The same run, continued as the stopped one said."""
    words = shlex.split(stopped.stderr.splitlines()[-1].removeprefix("resume with: "))
    assert words.pop(0) == "dlmone"
    return dlmone(*words)


def test_the_note_comes_first(stopped):
    assert stopped.stderr.splitlines()[0] == "tiny, profile first: A run that says nothing."


def test_ctrl_c_leaves_a_run_and_says_how_to_go_on(stopped):
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    said, how = stopped.stderr.splitlines()[-2:]
    assert said.startswith("stopped at one, step 3; the state is in runs/tiny-first-1/one/checkpoints/")
    assert how == "resume with: dlmone run tiny.toml --plugin stop.py --resume runs/tiny-first-1"


def test_a_resumed_run_finishes_with_its_table(finished, workplace):
    assert finished.exit_code == 0, finished.output
    assert "bleu" in finished.stdout
    assert finished.stderr.splitlines()[-1] == "student: runs/tiny-first-1/student"
    assert "one: resumed at step 3" in finished.stderr
    path = workplace / "runs" / "tiny-first-1"
    assert (path / "report" / "results.json").is_file()
    assert finished.stderr.splitlines()[-2] == "report: runs/tiny-first-1/report/index.html"
    assert (path / "report" / "index.html").is_file()
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["command"][:3] == ["dlmone", "run", "tiny.toml"]
    steps = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in steps if entry["stage"] == "one" and entry["kind"] == "train"] == [
        *range(1, 7)
    ]
    assert dlmone("generate", path, "how can i learn french ?").exit_code == 0


def test_a_run_of_another_version_is_refused_in_one_sentence(finished, workplace):
    run = shutil.copytree(workplace / "runs" / "tiny-first-1", workplace / "older")
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace("optimizer", "optimiser"))
    result = dlmone("run", "tiny.toml", "--resume", "older")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(
        "error: older: its recipe cannot be read here, so it was begun with another version of dlmone"
    )


def test_a_torn_checkpoint_is_stepped_over_with_a_warning(finished, workplace):
    run = shutil.copytree(workplace / "runs" / "tiny-first-1", workplace / "torn")
    (run / "one" / "checkpoints" / "step-000006" / "state.safetensors").write_bytes(b"torn")
    (run / "report" / "index.html").unlink()
    result = dlmone("run", "tiny.toml", "--resume", "torn", "--no-report")
    assert result.exit_code == 0, result.output
    [warning] = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "step-000006: skipped an incomplete or altered checkpoint" in warning
    assert not (run / "report" / "index.html").exists()


def test_resume_alone_takes_the_latest_run_and_where_it_computes_may_change(finished):
    result = dlmone("run", "tiny.toml", "--resume", "--set", "compute.non_finite_limit=7")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "student: runs/tiny-first-1/student"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--run-dir", "runs/tiny-first-1"], "runs/tiny-first-1 is not empty: give --resume"),
        (["--run-dir", "cache"], "cache is not empty: it holds no run; name another folder"),
        (["--run-dir", "tiny.toml"], "tiny.toml: a file, where a folder for the run was expected"),
        (["--resume", "cache"], "cache: there is no run here to resume"),
        (["--resume", "runs/tiny-first-1", "--run-dir", "b"], "name two directories; give one"),
        (["--profile", "second", "--resume"], "runs: holds no run of tiny-second to resume"),
        (
            ["--resume", "runs/tiny-first-1", "--set", "stages.one.steps=9"],
            "runs/tiny-first-1 was run with stages.one.steps = 6, and now it is 9;",
        ),
        (
            ["--resume", "runs/tiny-first-1", "--profile", "second", "--set", "stages.one.batch=9"],
            "was run with seed = 1, and now it is 2 (1 more differ);",
        ),
    ],
)
def test_directories_that_are_refused(finished, args, message):
    result = dlmone("run", "tiny.toml", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    _, line = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_pretrain_makes_the_teacher_and_stops(finished, workplace):
    # The teacher is the cached one: the run before trained the same.
    result = dlmone("pretrain", "tiny.toml", "--run-dir", "taught")
    assert (result.exit_code, result.stdout) == (0, "taught/teacher\n")
    assert "taken from the cache" in result.stderr
    assert not Path("taught/one").exists()
    assert dlmone("run", "tiny.toml", "--resume", "taught").exit_code == 0
    assert Path("taught/student").is_dir()


def test_there_is_nothing_to_pretrain_where_a_teacher_is_loaded(finished):
    args = ["--set", "teacher.path=taught/teacher", "--run-dir", "other"]
    result = dlmone("pretrain", "tiny.toml", *args)
    assert result.exit_code == 2
    assert "loads its teacher from taught/teacher: nothing to train" in result.stderr


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "stages.one.objectives.modes={use='sds',t_min=5000}",
            "stages.one.objectives.modes.t_min: time 5000 is outside the trained range of this schedule, "
            "which goes from 0 to 1999",
        ),
        (
            "stages.one.objectives.modes={use='sds',t_min={ratio=2.5},t_max={quantile=0.1}}",
            "stages.one.objectives.modes.t_min: 1490 must be below t_max, 200",
        ),
        (
            "stages.one.objectives.start={use='regression',initial='student',until=1600}",
            "stages.one.objectives.start.until: network calls go down from 1490 and cannot end at 1600",
        ),
        (
            "evaluation.teacher_sampler={use='ddim',until={ratio=0.01}}",
            "evaluation.teacher_sampler.until: σ/α = 0.01 is outside the trained range of this schedule, "
            "which goes from 0.1219 to 2225",
        ),
        (
            "stages.one.objectives.modes={use='sds',t_min='late'}",
            "stages.one.objectives.modes.t_min: expected a number, or a table with one of the keys ratio and "
            'quantile, got "late"',
        ),
    ],
)
def test_a_time_that_the_teacher_does_not_have_is_refused_before_any_training(
    workplace, tmp_path, setting, sentence
):
    answer = dlmone("run", "tiny.toml", "--run-dir", tmp_path / "run", "--set", setting, "--set", "seed=77")
    assert answer.exit_code == 2
    assert answer.stderr.splitlines()[-1].endswith(sentence)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
