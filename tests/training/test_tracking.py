"""Trackers follow a run from the command line, through a stop and a resumption."""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main

TINY = Path(__file__).parent.parent / "tiny.toml"
PLUGIN = """
import json, os, signal
from pathlib import Path

from dlmone.core import InputError
from dlmone.registry import Tracker
from dlmone.registry import hookimpl


@hookimpl
def register_trackers(register):
    for name in ("Journal", "Unreachable", "Flaky"):
        register(name.lower(), f"{__name__}:{name}")


@hookimpl
def step_finished(stage, step):
    done = Path(__file__).with_suffix(".done")
    if stage == "stage-1" and step == 2 and not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGINT)


class Journal(Tracker):
    def __init__(self, options):
        self.lines = []

    def start(self, run):
        self.file = run.folder / f"{type(self).__name__.lower()}.jsonl"
        self.write("start", run.name, run.project, run.identifier, run.recipe["stages"]["stage-1"]["steps"])
        return run.identifier or "the-first"

    def write(self, *line):
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\\n")

    def scalars(self, stage, step, values):
        self.write("scalars", stage, step, values)

    def texts(self, stage, step, samples):
        self.write("texts", stage, step, [sample.candidates[0] for sample in samples])

    def finish(self, *, completed):
        self.write("finish", completed)


class Unreachable(Journal):
    def start(self, run):
        raise InputError("trackers: the server does not answer")


class Flaky(Journal):
    def scalars(self, stage, step, values):
        raise ConnectionError("the server went away")
"""
SMALL = (
    "teacher.pretrain.steps=2",
    "stages.stage-1.steps=3",
    "stages.stage-1.checkpoint_every=1",
    "stages.stage-2=false",
    "evaluation.teacher_steps=[1]",
    "evaluation.student_steps=[1]",
    "evaluation.examples=2",
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("work")
    (path / "tracker.py").write_text(PLUGIN)
    return path


def run(workplace: Path, *words: str) -> Result:
    settings = [word for key in SMALL for word in ("--set", key)]
    given = ["run", str(TINY), "--no-report", *settings, "--plugin", str(workplace / "tracker.py"), *words]
    return CliRunner(env={"DLMONE_CACHE": str(workplace / "cache")}).invoke(main, given)


@dataclass
class Followed:
    """A run stopped at step 2 and resumed, what one tracker was told, and the warnings about another."""

    stopped: Result
    resumed: Result
    journal: list[list[Any]]
    warnings: list[str]

    def told(self, kind: str) -> list[list[Any]]:
        """Return stage, step and content of all that was sent as ``scalars`` or ``texts``."""
        return [line[1:] for line in self.journal if line[0] == kind]


@pytest.fixture(scope="module")
def followed(workplace: Path) -> Followed:
    folder = workplace / "run-7"
    both = ("--track", "journal", "--track", "flaky")
    log = logging.getLogger("dlmone.registry.discovery")
    warnings: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    stopped = run(workplace, *both, "--run-dir", str(folder))
    resumed = run(workplace, *both, "--resume", str(folder))
    log.removeHandler(handler)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return Followed(stopped, resumed, [json.loads(line) for line in lines], warnings)


def test_a_resumed_run_is_the_same_to_its_tracker(
    followed: Followed,
) -> None:
    stopped, resumed, journal = followed.stopped, followed.resumed, followed.journal
    assert (stopped.exit_code, resumed.exit_code) == (130, 0), resumed.output
    assert "--track journal --track flaky" in stopped.stderr.splitlines()[-1]
    starts = [line for line in journal if line[0] == "start"]
    assert starts == [["start", "run-7", "tiny", None, 3], ["start", "run-7", "tiny", "the-first", 3]]
    assert [line[1] for line in journal if line[0] == "finish"] == [False, True]


def test_every_logged_value_is_sent_once(followed: Followed, workplace: Path) -> None:
    sent = followed.told("scalars")
    log = [json.loads(line) for line in (workplace / "run-7" / "metrics.jsonl").read_text().splitlines()]
    for entry in log:
        values = {key: value for key, value in entry.items() if isinstance(value, float)}
        known: dict[str, float] = {}
        for stage, step, part in sent:
            if (stage, step) == (entry["stage"], entry["step"]):
                assert not known.keys() & part.keys()
                known |= part
        assert values.items() <= known.items()
    assert {stage for stage, _, _ in sent} == {"pretrain", "stage-1", "final"}
    [final] = [values for stage, _, values in sent if stage == "final"]
    assert any(name.endswith("fidelity") for name in final)


def test_validations_send_their_samples(followed: Followed) -> None:
    texts = followed.told("texts")
    assert [(stage, step) for stage, step, _ in texts] == [
        ("pretrain", 0),
        ("pretrain", 2),
        ("stage-1", 0),
        ("stage-1", 3),
    ]
    assert all(len(rows) == 8 and all(isinstance(row, str) for row in rows) for _, _, rows in texts)


def test_a_tracker_that_cannot_start_ends_the_run_at_once(workplace: Path) -> None:
    folder = workplace / "unreachable"
    result = run(workplace, "--track", "unreachable", "--run-dir", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].endswith("trackers: the server does not answer")
    assert not folder.exists()


def test_a_tracker_that_fails_later_does_not_end_the_run(
    followed: Followed,
) -> None:
    warning = "the plugin trackers.flaky failed in step_finished: ConnectionError: the server went away"
    assert followed.warnings == [warning] * 2, "one for each time that the run went on"


def test_an_unknown_tracker_is_refused_with_the_nearest(workplace: Path) -> None:
    result = run(workplace, "--track", "jurnal", "--run-dir", str(workplace / "none"))
    assert result.exit_code == 3
    sentence = "error: --track: there is no tracker 'jurnal'; did you mean 'journal'?"
    assert result.stderr.splitlines() == [sentence]
    assert not (workplace / "none").exists()


def test_a_tool_that_is_not_installed_is_named_before_anything_is_made(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    result = run(workplace, "--track", "journal", "--track", "wandb", "--run-dir", str(workplace / "a" / "b"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith('pip install "dlmone[wandb]"')
    assert not (workplace / "a").exists()
