"""Exact resume: a run killed at any instant and resumed ends in the same state as one left alone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]

# A one-file plugin that kills its own process at a given instant: nothing is flushed, nothing cleaned up.
KILLER = """
import os, signal
from dlmone.registry import hookimpl

WHEN = os.environ.get("KILL_AT", "")

@hookimpl
def step_finished(stage, step, metrics):
    if WHEN == f"{metrics['kind']} {stage} {step}":
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def checkpoint_saved(stage, step):
    if WHEN == f"checkpoint {stage} {step}":
        os.kill(os.getpid(), signal.SIGKILL)
"""


INSTANTS = (
    "train pretrain 3",  # before the first checkpoint
    "checkpoint pretrain 8",
    "validation pretrain 12",  # trained, not saved
    "train stage-1 2",
    "checkpoint stage-1 3",
    "validation stage-1 4",  # the best student is newer than the checkpoint
    "train stage-2 7",
    "checkpoint stage-2 8",
)


@dataclass(frozen=True)
class Case:
    """A recipe whose every phase keeps states of its own, and the environment that has its plugins."""

    recipe: Path
    environment: dict[str, str]
    killer: Path
    instants: tuple[str, ...] = INSTANTS
    steps: Mapping[str, int] = field(default_factory=lambda: {"pretrain": 12, "stage-1": 8, "stage-2": 8})

    def run(self, folder: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
        environment = self.environment | {
            "KILL_AT": kill_at,
            "DLMONE_CACHE": str(folder.parent / f"{folder.name}-cache"),
        }
        command = [sys.executable, "-m", "dlmone", "run", str(self.recipe), "--plugin", str(self.killer)]
        command.append("--no-report")
        where = ["--resume", str(folder)] if folder.exists() else ["--run-dir", str(folder)]
        return subprocess.run(
            [*command, *where], env=environment, capture_output=True, text=True, timeout=300
        )


def final_state(folder: Path, steps: Mapping[str, int]) -> dict[str, dict[str, torch.Tensor]]:
    states = {
        phase: load_file(folder / phase / "checkpoints" / f"step-{step:06d}" / "state.safetensors")
        for phase, step in steps.items()
    }
    return states | {"student": load_file(folder / "student" / "model.safetensors")}


def logged(folder: Path) -> list[dict[str, object]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds_per_step"} for entry in entries]


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "killer.py"
    path.write_text(KILLER)
    return path


@pytest.fixture(scope="module", params=["tiny", "thirdparty", "elf"])
def case(request: pytest.FixtureRequest, killer: Path) -> Case:
    """DiffuSeq with an average of ψ and μ by its lag; a third party's critic, EMA target and teacher; ELF."""
    if request.param == "tiny":
        return Case(TESTS / "tiny.toml", dict(os.environ), killer)
    if request.param == "elf":
        pytest.importorskip("transformers")
        # Its processes are slow to begin, so it is killed once.
        return Case(
            TESTS / "plugins/elf/tiny.toml",
            dict(os.environ),
            killer,
            INSTANTS[5:6],
            {"pretrain": 12, "stage-1": 8},
        )
    package, installed = TESTS / "thirdparty", request.getfixturevalue("installed")
    # What others bring is restored once in each phase; at which instants is the engine's matter.
    instants = ("validation pretrain 12", "validation stage-1 4", "train stage-2 7")
    return Case(package / "recipe.toml", installed(package / "murmur"), killer, instants)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, case: Case) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    answer = case.run(folder)
    assert answer.returncode == 0, answer.stderr
    return folder


def assert_same(case: Case, folder: Path, undisturbed: Path) -> None:
    again = final_state(folder, case.steps)
    for phase, tensors in final_state(undisturbed, case.steps).items():
        resumed = again[phase]
        assert tensors.keys() == resumed.keys()
        different = [name for name, value in tensors.items() if not torch.equal(value, resumed[name])]
        assert not different, f"{phase}: {different[:5]}"
    assert logged(folder) == logged(undisturbed)
    assert (folder / "student/config.json").read_text() == (undisturbed / "student/config.json").read_text()
    ours, theirs = (json.loads((f / "report/results.json").read_text()) for f in (folder, undisturbed))
    for a, b in zip(ours["rows"], theirs["rows"], strict=True):
        assert a["scores"] == b["scores"]


@pytest.mark.parametrize("case", ["thirdparty"], indirect=True)
def test_a_checkpoint_holds_what_objectives_bring(case: Case, undisturbed: Path) -> None:
    names = {name.split("/")[0] for name in final_state(undisturbed, case.steps)["stage-2"]}
    assert {"critic.critic", "critic.critic_optimizer", "consistency.target", "objective.critic"} <= names


def test_killed_many_times_and_resumed_ends_the_same(tmp_path: Path, case: Case, undisturbed: Path) -> None:
    folder = tmp_path / "killed"
    for instant in case.instants:
        answer = case.run(folder, instant)
        assert answer.returncode == -9, (instant, answer.stderr)
    answer = case.run(folder)
    assert answer.returncode == 0, answer.stderr
    assert_same(case, folder, undisturbed)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, case: Case) -> Path:
    """A run that ended with a checkpoint of stage-1, and beside it the cache of its teacher."""
    folder = tmp_path_factory.mktemp("runs") / "killed"
    assert case.run(folder, "checkpoint stage-1 6").returncode == -9
    return folder


@pytest.mark.parametrize("case", ["tiny"], indirect=True)
@pytest.mark.parametrize("damage", ["torn", "altered", "unmanifested"])
def test_a_damaged_checkpoint_is_stepped_over(
    tmp_path: Path, case: Case, undisturbed: Path, killed: Path, damage: str
) -> None:
    shutil.copytree(killed.parent, tmp_path / "runs")
    folder = tmp_path / "runs" / killed.name
    newest = folder / "stage-1" / "checkpoints" / "step-000006"
    weights = newest / "state.safetensors"
    content = weights.read_bytes()
    if damage == "torn":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (newest / "manifest.json").unlink()
    answer = case.run(folder)
    assert answer.returncode == 0, answer.stderr
    assert str(newest) in answer.stderr
    assert "skipped an incomplete or altered checkpoint" in answer.stderr
    assert_same(case, folder, undisturbed)
