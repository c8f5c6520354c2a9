"""-q and -v: what is on standard error, before a command's name and after it."""

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import COMMANDS, main

TEXTS = ("how do i learn ?", "what is it ?")
TINY = Path(__file__).parents[1] / "tiny.toml"


def dlmone(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Samples of Chinese texts, to which the default metrics are blind: evaluating them warns."""
    texts = {"source": "丽江是哪个省", "reference": "丽江是哪个省", "candidates": ["丽江是哪个省份"]}
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"id": "a", **texts}) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["plugins", "show"], ["recipes", "keys"]])
def test_every_command_takes_both(words: list[str]) -> None:
    help = dlmone(*words, "--help").stdout
    assert re.search(r"-q, --quiet +Only results, warnings and errors\.\n *-v, --verbose +Also", help)


@pytest.mark.parametrize("before", [True, False])
def test_verbose_says_what_is_loaded_and_what_takes_how_long(tiny_run: Path, before: bool) -> None:
    args = ("generate", tiny_run, *TEXTS)
    plain = dlmone(*args)
    detailed = dlmone("-v", *args) if before else dlmone(*args, "--verbose")
    assert detailed.stdout == plain.stdout
    assert plain.stderr == ""
    assert re.search(rf"^loaded {tiny_run}/student: student \w+: re-noising", detailed.stderr, re.MULTILINE)
    assert re.search(r"^2 texts, 1 candidates each, in \d+\.\d\d s$", detailed.stderr, re.MULTILINE)
    assert "plugin" in detailed.stderr
    # It ends with its command.
    assert dlmone(*args).stderr == ""
    assert logging.getLogger("dlmone").handlers == []
    assert logging.getLogger("dlmone").level == logging.NOTSET


def test_quiet_leaves_results_warnings_and_errors(tmp_path: Path, samples: Path) -> None:
    plain, quiet = dlmone("evaluate", samples), dlmone("evaluate", samples, "-q")
    assert quiet.stdout == plain.stdout != ""
    assert "may not mean what" in quiet.stderr
    failed = dlmone("-q", "evaluate", tmp_path / "nowhere.jsonl")
    assert failed.exit_code == 2
    assert "there is no such sample file" in failed.stderr


def test_quiet_and_verbose_exclude_one_another() -> None:
    for args in (["-q", "-v", "env"], ["-q", "env", "-v"], ["env", "-q", "-v"]):
        result = dlmone(*args)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--quiet and --verbose exclude one another" in result.stderr


@pytest.mark.slow
def test_a_run_is_quiet_or_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLMONE_CACHE", str(tmp_path / "cache"))
    settings = ("--set", "stages.stage-2=false", "--set", "evaluation.teacher_steps=[1]", "--no-report")
    detailed = dlmone("run", TINY, "--run-dir", tmp_path / "a", *settings, "-v")
    assert detailed.exit_code == 0, detailed.stderr
    for step in range(1, 9):
        assert re.search(rf"^stage-1  step {step}  train  .*generator/", detailed.stderr, re.MULTILINE)
    assert f"checkpoint: {tmp_path / 'a' / 'stage-1' / 'checkpoints' / 'step-000008'}" in detailed.stderr
    assert "run directory" in detailed.stderr
    quiet = dlmone("-q", "run", TINY, "--run-dir", tmp_path / "b", *settings)
    assert quiet.exit_code == 0, quiet.stderr
    assert quiet.stderr == ""
    assert "fidelity" in quiet.stdout
