"""Two processes do what one does: the same global batch, the same draws, the same losses."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[1] / "tiny.toml"
# Dropout is the one draw that is not keyed by position, so it is off for the comparison.
SETTINGS = ["teacher.dropout=0.0", "teacher.attention_dropout=0.0", "compute.precision=float32"]
SETTINGS += ["stages.stage-2=false", "evaluation.candidates=1", "evaluation.teacher_steps=[1]"]


def losses(
    folder: Path,
    processes: int,
    *more: str,
    plugin: Path | None = None,
    recipe: Path = RECIPE,
    settings: Sequence[str] = SETTINGS,
    environment: Mapping[str, str] = os.environ,
) -> list[dict[str, float]]:
    command = [sys.executable, "-m", "dlmone", "run", str(recipe), "--run-dir", str(folder)]
    command += ["--plugin", str(plugin)] if plugin else []
    if processes > 1:
        command[1:2] = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m"]
    for setting in (*settings, *more):
        command += ["--set", setting]
    environment = {**environment, "DLMONE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in entry.items() if isinstance(value, float) and key != "seconds_per_step"}
        for entry in entries
        if entry["kind"] == "train"
    ]


# A loss that is not finite on one process only: the other must go on in step with it.
SPOILER = """
import torch
from dlmone.core import Term
from dlmone.plugins.diff_instruct.objective import DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions
from dlmone.registry import hookimpl

class Spoilt(DiffInstruct):
    def estimator_loss(self, context):
        term = super().estimator_loss(context)
        spoilt = [float("nan") if key[-1] >= 4 else 1.0 for key in context.noise.keys]
        return Term(term.loss_B * torch.tensor(spoilt), term.logged)

@hookimpl
def register_objectives(register):
    register("spoilt", f"{__name__}:Spoilt", options=f"{__name__}:DiffInstructOptions")
"""


def test_a_process_that_drops_all_its_samples_keeps_in_step(tmp_path: Path) -> None:
    plugin = tmp_path / "spoiler.py"
    plugin.write_text(SPOILER)
    swap = ("stages.stage-1.objectives.score.use=spoilt", "compute.non_finite_limit=1000")
    dropped = losses(tmp_path / "run", 2, *swap, plugin=plugin)
    assert [entry["non_finite"] for entry in dropped[12:]] == [4.0 * step for step in range(1, 9)]


@pytest.mark.parametrize(("processes", "more"), [(2, ()), (1, ("compute.microbatch=3",))])
def test_shares_and_microbatches_change_no_loss(
    tmp_path: Path, processes: int, more: tuple[str, ...]
) -> None:
    whole = losses(tmp_path / "whole", 1)
    shared = losses(tmp_path / "shared", processes, *more)
    assert len(whole) == len(shared) == 12 + 8
    assert whole[0] == pytest.approx(shared[0], rel=1e-5)
    # Later steps carry what Adam makes of sums in another order.
    for a, b in zip(whole, shared, strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-5)


def test_networks_of_an_objectives_own_are_the_same_on_two_processes(
    tmp_path: Path, installed: Callable[[Path], dict[str, str]]
) -> None:
    """A critic, an EMA target, and what an objective learned from the losses of the global batch."""
    package = Path(__file__).parents[1] / "thirdparty"
    case: dict[str, Any] = {
        "recipe": package / "recipe.toml",
        "settings": ["stages.stage-2=false", "evaluation.candidates=1", "evaluation.teacher_steps=[1]"],
        "environment": installed(package / "murmur"),
    }
    whole, shared = (losses(tmp_path / str(processes), processes, **case) for processes in (1, 2))
    assert len(whole) == len(shared) == 12 + 8
    assert {"critic/right", "critic/share", "consistency/distance"} <= whole[-1].keys()
    for a, b in zip(whole, shared, strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-5)
    one, two = (
        load_file(tmp_path / str(processes) / "stage-1/checkpoints/step-000008/state.safetensors")
        for processes in (1, 2)
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=2e-3, atol=1e-5, msg=name)
