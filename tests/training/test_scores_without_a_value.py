"""A validation score that is no number, once or always: what is selected, and what is said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main

TINY = Path(__file__).parents[1] / "tiny.toml"
#: Scores q: no number at the calls of WRONG, and rising. The first two calls look at a reference.
PLUGIN = """
from dlmone.core import Evaluator, Score
from dlmone.registry import hookimpl

class Q(Evaluator):
    calls = 0

    def __init__(self, options):
        pass

    def evaluate(self, samples):
        Q.calls += len(samples) > 4
        return [Score("q", float("nan") if Q.calls in WRONG else float(Q.calls), "q", "higher")]

@hookimpl
def register_evaluators(register):
    register("q", f"{__name__}:Q", options=f"{__name__}:Options")

from pydantic import BaseModel

class Options(BaseModel, extra="forbid"):
    pass
"""


def run(folder: Path, wrong: str) -> Result:
    (folder / "q.py").write_text(PLUGIN.replace("WRONG", wrong))
    keys = (
        'evaluation.metrics.q={use="q"}',
        'stages.stage-1.validation.metric="q"',
        "stages.stage-2=false",
        "evaluation.student_steps=[1]",
    )
    words = [
        "run",
        TINY,
        "--run-dir",
        folder / "run",
        "--plugin",
        folder / "q.py",
        "--device",
        "cpu",
        "--no-report",
    ]
    return CliRunner().invoke(main, [*map(str, words), *(word for key in keys for word in ("--set", key))])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLMONE_CACHE", str(tmp_path_factory.getbasetemp() / "scores_without_a_value"))


def test_one_that_was_no_number_is_not_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "range(1, 5)").exit_code == 0
    facts = json.loads((tmp_path / "run" / "stage-1" / "best" / "config.json").read_text())["student"]
    assert facts["best_step"] == 8


def test_none_that_was_a_number_selects_no_student(tmp_path: Path) -> None:
    answer = run(tmp_path, "range(99)")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "error: stages.stage-1.validation.metric: q was never a finite number" in answer.stderr
    assert "Traceback" not in answer.stderr
