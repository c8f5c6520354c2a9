"""Several processes do what one does: the same global batch, the same draws, the same losses and states."""

import functools
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
    command += ["--no-report"]
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


@pytest.mark.usefixtures("shards")
def test_a_process_that_drops_all_its_samples_keeps_in_step(tmp_path: Path) -> None:
    """Where networks are sharded, another process's sample stands in there, and is not counted."""
    plugin = tmp_path / "spoiler.py"
    plugin.write_text(SPOILER)
    swap = (*SMOOTH, "stages.stage-1.objectives.score.use=spoilt", "compute.non_finite_limit=1000")
    dropped = losses(tmp_path / "whole", 2, *swap, plugin=plugin)
    assert [entry["non_finite"] for entry in dropped[12:]] == [4.0 * step for step in range(1, 9)]
    sharded = losses(tmp_path / "sharded", 2, *swap, "compute.shard=true", plugin=plugin)
    assert max(furthest(dropped, sharded).values()) <= 1e-6


#: Adam divides by the root of its second moment plus eps. Where a gradient is nearly nought, the default of
#: 1e-8 would make as much of its rounding as of the gradient. With this one sums in another order stay close.
SMOOTH = (
    "teacher.pretrain.optimizer.eps=1e-3",
    "stages.stage-1.generator.eps=1e-3",
    "stages.stage-1.estimator.eps=1e-3",
)
#: Two batches of a validation, of which a process of two generates one, and three of the final evaluation.
BATCHES = ("data.valid=80", "stages.stage-1.validation.examples=80", "evaluation.batch=3")
#: A quotient of what f_φ − f_ψ holds, which begins at nought: rounding is the more of it the less there is.
QUOTIENT = "score/estimator_lag"
LAST = ("pretrain/checkpoints/step-000012", "stage-1/checkpoints/step-000008")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, list[dict[str, float]]]]:
    """Pretrain, and distil by SiD and the Diffusion-GAN, on so many processes: the run and what it logged."""

    @functools.cache
    def train(processes: int, *more: str) -> tuple[Path, list[dict[str, float]]]:
        folder = tmp_path_factory.mktemp("runs") / "run"
        return folder, losses(folder, processes, *SMOOTH, *BATCHES, *more)

    return train


def state(folder: Path) -> dict[str, torch.Tensor]:
    """The last checkpoints of both phases."""
    parts = {place: load_file(folder / place / "state.safetensors") for place in LAST}
    return {f"{place}/{name}": value for place, part in parts.items() for name, value in part.items()}


def validations(folder: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = [entry for entry in entries if entry["kind"] == "validation"]
    assert len(found) == 3 + 3
    return found


def furthest(one: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, float]:
    """Return by name the greatest difference of two logs, relative to values above 1."""
    assert [entry.keys() for entry in one] == [entry.keys() for entry in other]
    found: dict[str, float] = {}
    for a, b in zip(one, other, strict=True):
        apart = {key: abs(a[key] - b[key]) / max(abs(a[key]), 1.0) for key in a}
        found |= {key: max(far, found.get(key, 0.0)) for key, far in apart.items()}
    return found


def test_two_processes_are_two_microbatches_of_one_to_the_last_bit(
    trained: Callable[..., tuple[Path, list[dict[str, float]]]],
) -> None:
    """Both add up two halves of the batch: a + b."""
    (alone, expected), (shared, found) = trained(1, "compute.microbatch=4"), trained(2)
    assert found == expected
    assert validations(shared) == validations(alone)
    samples = sorted(path.name for path in (alone / "samples").iterdir())
    assert len(samples) == 1 + 3
    for name in samples:
        assert (shared / "samples" / name).read_bytes() == (alone / "samples" / name).read_bytes()
    one, two = state(alone), state(shared)
    assert one.keys() == two.keys()
    assert [name for name, value in one.items() if not torch.equal(value, two[name])] == []


@pytest.mark.parametrize(("processes", "more"), [(1, ("compute.microbatch=3",)), (2, ()), (4, ())])
def test_shares_and_microbatches_change_no_loss_and_no_state(
    processes: int, more: tuple[str, ...], trained: Callable[..., tuple[Path, list[dict[str, float]]]]
) -> None:
    (alone, expected), (shared, found) = trained(1), trained(processes, *more)
    assert len(expected) == 12 + 8
    apart = furthest(expected, found)
    quotient = apart.pop(QUOTIENT)
    where = max(apart, key=apart.__getitem__)
    one, two = state(alone), state(shared)
    assert one.keys() == two.keys()
    far, name = max((float((value - two[name]).abs().max()), name) for name, value in one.items())
    print(
        f"{processes} processes {' '.join(more)}: values {apart[where]:.1e} ({where}), "
        f"{QUOTIENT} {quotient:.1e}, state {far:.1e} ({name})"
    )
    assert apart[where] <= 1e-6, where
    assert quotient <= 1e-3
    assert far <= 1e-6, name


@pytest.mark.parametrize("shard", [False, True])
def test_networks_of_an_objectives_own_are_the_same_on_two_processes(
    shard: bool,
    tmp_path: Path,
    installed: Callable[[Path], dict[str, str]],
    request: pytest.FixtureRequest,
) -> None:
    """A critic, an EMA target, and what an objective learned from the losses of the global batch."""
    if shard:
        request.getfixturevalue("shards")
    package = Path(__file__).parents[1] / "thirdparty"
    case: dict[str, Any] = {
        "recipe": package / "recipe.toml",
        "settings": ["stages.stage-2=false", "evaluation.candidates=1", "evaluation.teacher_steps=[1]"],
        "environment": installed(package / "murmur"),
    }
    more = ("compute.shard=true",) if shard else ()
    whole, shared = losses(tmp_path / "1", 1, **case), losses(tmp_path / "2", 2, *more, **case)
    assert len(whole) == len(shared) == 12 + 8
    assert {"critic/right", "critic/share", "consistency/distance"} <= whole[-1].keys()
    for a, b in zip(whole, shared, strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-5)
    one, two = (
        load_file(tmp_path / processes / "stage-1/checkpoints/step-000008/state.safetensors")
        for processes in ("1", "2")
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=2e-3, atol=1e-5, msg=name)
