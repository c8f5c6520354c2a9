"""Networks shared out over the processes (FSDP2): the same losses and checkpoints, on any number of them."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shards")]

RECIPE = Path(__file__).parents[1] / "tiny.toml"
SETTINGS = {
    # What differs between processes (dropout), or blows rounding up, is off (`test_distributed.py`).
    "teacher.dropout": 0.0,
    "teacher.attention_dropout": 0.0,
    "compute.precision": "float32",
    "teacher.pretrain.optimizer.eps": 1e-3,
    "stages.stage-1.generator.eps": 1e-3,
    "stages.stage-1.estimator.eps": 1e-3,
    # Layers to gather one by one; a head, which stays whole; gradients that are clipped; two microbatches.
    "teacher.layers": 2,
    "stages.stage-1.objectives.adversarial.head": "linear",
    "teacher.pretrain.optimizer.clip_norm": 0.1,
    "compute.microbatch": 2,
    "stages.stage-2": "false",
    "evaluation.candidates": 1,
    "evaluation.teacher_steps": "[1]",
}
LAST = ("pretrain/checkpoints/step-000012", "stage-1/checkpoints/step-000008")
#: A quotient of what f_φ − f_ψ holds, which begins at nought: rounding is the more of it the less there is.
QUOTIENT = "score/estimator_lag"


def run(folder: Path, processes: int, *more: str, resume: bool = False, plugin: Path | None = None) -> str:
    """Run the recipe on so many processes, or resume it there, and return what it says."""
    command = [sys.executable, "-m", "dlmone", "run", str(RECIPE)]
    command += ["--resume" if resume else "--run-dir", str(folder)]
    command += ["--plugin", str(plugin)] if plugin else []
    if processes > 1:
        command[1:2] = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m"]
    for setting in (*(f"{key}={value}" for key, value in SETTINGS.items()), *more):
        command += ["--set", setting]
    environment = {**os.environ, "DLMONE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr
    return answer.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, bool], Path]:
    """Pretrain, and distil by SiD and the Diffusion-GAN."""

    @functools.cache
    def train(processes: int, shard: bool) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "run"
        run(folder, processes, *(["compute.shard=true"] if shard else []))
        return folder

    return train


def logged(folder: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in entry.items() if isinstance(value, float) and key != "seconds_per_step"}
        for entry in entries
    ]


def check_same(folder: Path, expected: Path) -> None:
    """Compare all that was logged, the last checkpoints of both phases, and the models."""
    found, right = logged(folder), logged(expected)
    assert [entry.keys() for entry in found] == [entry.keys() for entry in right]
    assert len(found) == 12 + 8 + 3 + 3
    worst: dict[str, float] = {}
    for mine, its in zip(found, right, strict=True):
        apart = {key: abs(mine[key] - its[key]) / max(abs(its[key]), 1.0) for key in its}
        worst |= {key: max(far, worst.get(key, 0.0)) for key, far in apart.items()}
    quotient = worst.pop(QUOTIENT)
    where = max(worst, key=worst.__getitem__)
    files = [f"{place}/state.safetensors" for place in LAST] + [
        f"{model}/model.safetensors" for model in ("teacher", "student")
    ]
    far: dict[str, float] = {}
    for file in files:
        mine_held, its_held = load_file(folder / file), load_file(expected / file)
        assert {name: (one.shape, one.dtype) for name, one in mine_held.items()} == {
            name: (one.shape, one.dtype) for name, one in its_held.items()
        }
        for name, one in its_held.items():
            far[f"{file} {name}"] = float((one.double() - mine_held[name].double()).abs().max())
    name = max(far, key=far.__getitem__)
    print(f"values {worst[where]:.1e} ({where}), {QUOTIENT} {quotient:.1e}, state {far[name]:.1e} ({name})")
    assert worst[where] <= 1e-6, where
    assert quotient <= 1e-3
    assert far[name] <= 1e-6, name


def rewound(folder: Path, to: Path, phase: str) -> Path:
    """Copy a run as it was in the middle of a phase, pretraining at step 8 or the stage at step 6."""
    shutil.copytree(folder, to)
    for name in ("student", "report", "samples"):
        shutil.rmtree(to / name)
    if phase == "pretrain":
        for name in ("cache", "teacher", "stage-1"):
            shutil.rmtree(to / name)
    last = LAST[0] if phase == "pretrain" else LAST[1]
    shutil.rmtree(to / last)
    assert len(list((to / last).parent.iterdir())) == 1
    if phase == "pretrain":
        lines = (to / "metrics.jsonl").read_text().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["stage"] == "pretrain"]
        (to / "metrics.jsonl").write_text("".join(kept))
    return to


def test_two_processes_that_share_out_the_networks_end_as_one_does(
    trained: Callable[[int, bool], Path],
) -> None:
    check_same(trained(2, True), trained(1, False))


def test_checkpoint_and_student_are_those_of_an_ordinary_run(
    trained: Callable[[int, bool], Path],
) -> None:
    """One file of whole tensors, without pickle; the student loads without a process group."""
    folder = trained(2, True)
    for place in LAST:
        files = sorted(path.name for path in (folder / place).iterdir())
        assert files == ["manifest.json", "state.safetensors"]
    with safe_open(folder / LAST[1] / "state.safetensors", "pt") as file:
        assert file.get_slice("generator/input_transformers.layer.1.output.dense.weight").get_shape()[0] == 32
    script = f"import dlmone; print(dlmone.load({str(folder / 'student')!r}).generate(['what is art ?']))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.long
def test_pretraining_shared_out_by_two_resumes_whole_in_one(
    trained: Callable[[int, bool], Path], tmp_path: Path
) -> None:
    folder = rewound(trained(2, True), tmp_path / "run", "pretrain")
    assert "pretrain: resumed at step 8" in run(folder, 1, resume=True)
    check_same(folder, trained(1, False))


def test_a_stage_of_one_process_resumes_shared_out_by_four(
    trained: Callable[[int, bool], Path], tmp_path: Path
) -> None:
    folder = rewound(trained(1, False), tmp_path / "run", "stage-1")
    assert "stage-1: resumed at step 6" in run(folder, 4, "compute.shard=true", resume=True)
    check_same(folder, trained(1, False))
