"""Exact resume: a run killed at any instant and resumed ends in the same state as one left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[1] / "tiny.toml"

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


def run(folder: Path, killer: Path, kill_at: str = "", *more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "KILL_AT": kill_at,
        "DLMONE_CACHE": str(folder.parent / f"{folder.name}-cache"),
    }
    command = [sys.executable, "-m", "dlmone", "run", str(RECIPE), "--plugin", str(killer)]
    where = ["--resume", str(folder)] if folder.exists() else ["--run-dir", str(folder)]
    return subprocess.run(
        [*command, *where, *more], env=environment, capture_output=True, text=True, timeout=300
    )


def final_state(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    phases = {"pretrain": 12, "stage-1": 8, "stage-2": 8}
    states = {
        phase: load_file(folder / phase / "checkpoints" / f"step-{step:06d}" / "state.safetensors")
        for phase, step in phases.items()
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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, killer: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    answer = run(folder, killer)
    assert answer.returncode == 0, answer.stderr
    return folder


def assert_same(folder: Path, undisturbed: Path) -> None:
    for phase, tensors in final_state(undisturbed).items():
        resumed = final_state(folder)[phase]
        assert tensors.keys() == resumed.keys()
        different = [name for name, value in tensors.items() if not torch.equal(value, resumed[name])]
        assert not different, f"{phase}: {different[:5]}"
    assert logged(folder) == logged(undisturbed)
    assert (folder / "student/config.json").read_text() == (undisturbed / "student/config.json").read_text()
    ours, theirs = (json.loads((f / "report/results.json").read_text()) for f in (folder, undisturbed))
    for a, b in zip(ours["rows"], theirs["rows"], strict=True):
        assert a["scores"] == b["scores"]


def test_killed_many_times_and_resumed_ends_the_same(tmp_path: Path, killer: Path, undisturbed: Path) -> None:
    folder = tmp_path / "killed"
    instants = [
        "train pretrain 3",  # before the first checkpoint
        "checkpoint pretrain 8",
        "validation pretrain 12",  # trained, not saved
        "train stage-1 2",
        "checkpoint stage-1 3",
        "validation stage-1 4",  # the best student is newer than the checkpoint
        "train stage-2 7",
        "checkpoint stage-2 8",
    ]
    for instant in instants:
        answer = run(folder, killer, instant)
        assert answer.returncode == -9, (instant, answer.stderr)
    answer = run(folder, killer)
    assert answer.returncode == 0, answer.stderr
    assert_same(folder, undisturbed)


@pytest.mark.parametrize("damage", ["torn", "altered", "unmanifested"])
def test_a_damaged_checkpoint_is_stepped_over(
    tmp_path: Path, killer: Path, undisturbed: Path, damage: str
) -> None:
    folder = tmp_path / "damaged"
    assert run(folder, killer, "checkpoint stage-1 6").returncode == -9
    newest = folder / "stage-1" / "checkpoints" / "step-000006"
    weights = newest / "state.safetensors"
    content = weights.read_bytes()
    if damage == "torn":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (newest / "manifest.json").unlink()
    answer = run(folder, killer)
    assert answer.returncode == 0, answer.stderr
    assert str(newest) in answer.stderr
    assert "skipped an incomplete or altered checkpoint" in answer.stderr
    assert_same(folder, undisturbed)
