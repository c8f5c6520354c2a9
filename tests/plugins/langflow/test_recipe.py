"""The conditional variant from end to end: pretrained on the questions grammar, distilled, evaluated."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

RECIPE = """
name = "langflow-questions"

[data]
use = "questions"
train = 500
valid = 4
test = 4

[teacher]
use = "langflow"
conditional = true
condition_dropout = 0.1
tokenizer = "words"
length = 36
width = 16
condition = 8
layers = 1
heads = 2
bayes_ramp = 2

[teacher.pretrain]
steps = 4
batch = 4
optimizer = { lr = 1e-3 }
validation = { every = 4, examples = 2 }
validation_steps = 2

[stages.sharpen]
start = "teacher"
steps = 2
batch = 4
t_init = { quantile = 0.9 }
generator = { lr = 1e-4 }
validation = { every = 2, examples = 2 }
objectives = { anchor = { use = "regression", steps = 2 } }

[stages.score]
steps = 2
batch = 4
t_init = { quantile = 0.9 }
generator = { lr = 1e-4 }
estimator = { lr = 1e-4 }
validation = { every = 2, examples = 2 }
objectives = { score = { use = "sid" }, adversarial = { use = "diffusion_gan" } }

[evaluation]
candidates = 1
teacher_steps = [1, 2]
student_steps = [1, 2]
teacher_sampler = { use = "langflow", guidance = 1.5 }
metrics = { bleu = { use = "bleu" } }
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("langflow")
    (path / "tiny.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(path / "cache"))
        result = CliRunner().invoke(
            main, ["run", str(path / "tiny.toml"), "--run-dir", str(path / "run"), "--no-report"]
        )
    assert result.exit_code == 0, result.output
    return path / "run"


def test_a_run_pretrains_distils_and_evaluates(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if row["kind"] == "train"]
    assert {row["stage"] for row in trained} == {"pretrain", "sharpen", "score"}
    assert all(row.get("non_finite", 0) == 0 for row in trained)
    assert any("cross_entropy" in row for row in trained)
    for role in ("teacher", "student"):
        assert json.loads((finished / role / "config.json").read_text())["role"] == role


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_what_a_run_leaves_writes(finished: Path, role: str) -> None:
    text = "how can i learn french ?"
    result = CliRunner().invoke(main, ["generate", str(finished / role), text, "--steps", "2"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
