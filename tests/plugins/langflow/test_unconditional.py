"""Text without a source from end to end: pretrained, distilled by each objective, sampled and scored."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

import dlmone
from dlmone.cli import main

RECIPE = """
name = "langflow-text"

[data]
use = "question_text"
valid = 4
test = 6

[teacher]
use = "langflow"
tokenizer = "words"
length = 13
width = 16
condition = 8
layers = 1
heads = 2
dropout = 0.1
bayes_ramp = 2

[teacher.pretrain]
steps = 4
batch = 4
optimizer = { lr = 1e-3 }
validation = { every = 4, examples = 2 }
validation_steps = 2

[stages.sid]
start = "teacher"
steps = 2
batch = 4
t_init = { quantile = 0.9 }
generator = { lr = 1e-3 }
validation = { every = 2, examples = 2 }
objectives = { score = { use = "sid" }, adversarial = { use = "diffusion_gan" } }

[stages.dmd2]
start = "teacher"
steps = 4
batch = 4
t_init = { quantile = 0.9 }
estimator_steps = 2
generator = { lr = 1e-3 }
estimator = { lr = 1e-3 }
checkpoint_every = 2
log_every = 1
validation = { every = 4, examples = 2 }
objectives = { score = { use = "dmd2" }, adversarial = { use = "diffusion_gan", head = "linear" } }

[stages.halved]
start = "teacher"
steps = 2
batch = 4
t_init = { quantile = 1.0 }
generator = { lr = 1e-3 }
validation = { every = 2, examples = 2 }
objectives = { round = { use = "progressive", steps = 2 } }

[stages.consistent]
steps = 4
batch = 4
t_init = { quantile = 1.0 }
generator = { lr = 1e-3 }
checkpoint_every = 2
log_every = 1
validation = { every = 4, examples = 2 }
objectives = { path = { use = "consistency", times = 5 } }

[evaluation]
candidates = 1
teacher_steps = [1, 2]
student_steps = [1, 2]
teacher_sampler = { use = "langflow" }
metrics = { text = { use = "question_text" }, health = { use = "health" }, copies = { use = "copy_rate" } }
"""

STAGES = {"sid": 2, "dmd2": 4, "halved": 2, "consistent": 4}

# A one-file plugin that presses Ctrl-C after a given step.
STOPPER = """
import os, signal
from dlmone.registry import hookimpl

@hookimpl
def step_finished(stage, step, metrics):
    if (stage, step) == {when!r}:
        os.kill(os.getpid(), signal.SIGINT)
"""


def run(folder: Path, *more: str) -> Result:
    recipe = folder.parent / "tiny.toml"
    recipe.write_text(RECIPE)
    where = ["--resume", str(folder)] if folder.exists() else ["--run-dir", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(folder.parent / f"{folder.name}-cache"))
        return CliRunner().invoke(main, ["run", str(recipe), *where, *more])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "run"
    result = run(folder)
    assert result.exit_code == 0, result.output
    return folder


def test_every_objective_trains_it(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if row["kind"] == "train"]
    assert {row["stage"] for row in trained} == {"pretrain", *STAGES}
    assert all(row.get("non_finite", 0) == 0 for row in trained)
    first = load_file(finished / "teacher" / "model.safetensors")
    for stage, step in STAGES.items():
        state = load_file(finished / stage / "checkpoints" / f"step-{step:06d}" / "state.safetensors")
        moved = state["average/output_layer.linear.weight"] - first["network.output_layer.linear.weight"]
        assert moved.abs().max() > 1e-5, stage


def test_it_is_scored_beside_held_out_text_and_never_called_a_copy(finished: Path) -> None:
    rows = json.loads((finished / "report" / "results.json").read_text())["rows"]
    baseline, *systems = rows
    assert (baseline["model"], baseline["kind"]) == ("reference", "baseline")
    assert baseline["scores"]["validity"]["value"] == 1
    assert len(systems) == 2 + 3 + 2
    for row in systems:
        assert row["scores"]["copy_rate"]["value"] == 0
        assert row["scores"]["validity"]["interval"] is not None
    page = (finished / "report" / "index.html").read_text()
    assert "reference" in page


def test_samples_are_generated_without_texts(finished: Path) -> None:
    result = CliRunner().invoke(main, ["generate", str(finished / "student"), "--samples", "5"])
    assert result.exit_code == 0, result.output
    texts = result.stdout.splitlines()
    assert len(texts) == 5
    again = dlmone.load(finished, device="cpu").generate([""] * 5)
    assert [" ".join(text.splitlines()) for [text] in again] == texts
    sourced = CliRunner().invoke(main, ["generate", str(finished / "student"), "a text"])
    assert sourced.exit_code == 2
    assert "it has a source, but this model writes without one" in sourced.stderr


def test_it_is_timed_and_its_cards_say_how_to_sample(finished: Path) -> None:
    result = CliRunner().invoke(
        main, ["bench", str(finished / "teacher"), "--steps", "2", "--runs", "2", "--json"]
    )
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)["rows"]
    assert row["calls"] == 2
    for role in ("teacher", "student"):
        assert "dlmone generate PATH --samples 10" in (finished / role / "README.md").read_text()


def test_its_own_sampler_is_the_default(finished: Path) -> None:
    teacher = dlmone.load(finished / "teacher", device="cpu")
    assert teacher.sampler == "langflow"
    assert dlmone.load(finished / "teacher", sampler="ddim", device="cpu").sampler == "ddim"
    named = dlmone.load(finished / "teacher", sampler="langflow", device="cpu")
    assert named.generate([""] * 3) == teacher.generate([""] * 3)


@pytest.mark.parametrize("when", [("dmd2", 3), ("consistent", 3)])
def test_stopped_and_resumed_it_ends_the_same(finished: Path, tmp_path: Path, when: tuple[str, int]) -> None:
    plugin = tmp_path / "stopper.py"
    plugin.write_text(STOPPER.format(when=when))
    folder = tmp_path / "run"
    stopped = run(folder, "--plugin", str(plugin))
    assert stopped.exit_code != 0
    assert f"stopped at {when[0]}, step 3" in " ".join(stopped.stderr.split())
    assert run(folder, "--no-report").exit_code == 0
    for name in ("dmd2/checkpoints/step-000004/state", "consistent/checkpoints/step-000004/state"):
        ours, theirs = (load_file(path / f"{name}.safetensors") for path in (folder, finished))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items()), name
    ours, theirs = (load_file(path / "student" / "model.safetensors") for path in (folder, finished))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
