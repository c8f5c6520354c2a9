"""A package as another team brings it: it installs, keeps the contracts, trains, publishes and generates."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dlmone.testing import check_objective, check_teacher
from dlmone.testing.toy import EXAMPLES

HERE = Path(__file__).parent
PACKAGE = HERE / "murmur"
SMALL = {"length": 12, "width": 8, "hidden": 16, "layers": 1}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))


@pytest.mark.parametrize("options", [{}, {"context": 0.0}, {"condition_dropout": 0.0}])
def test_the_teacher_keeps_its_contracts(options: dict[str, float]) -> None:
    from murmur.options import MurmurOptions
    from murmur.teacher import Murmur

    def build() -> Murmur:
        torch.manual_seed(0)
        return Murmur.build(MurmurOptions.model_validate(SMALL | options), EXAMPLES)

    check_teacher(build, EXAMPLES)


def test_the_consistency_objective_keeps_its_contract() -> None:
    from murmur.consistency import Consistency
    from murmur.options import ConsistencyOptions

    check_objective(Consistency(ConsistencyOptions()))


def test_the_critic_keeps_its_contract() -> None:
    from murmur.critic import Critic
    from murmur.options import CriticOptions

    check_objective(Critic(CriticOptions()))


def test_the_schedule_learns_where_the_loss_rises() -> None:
    """Fitted to a loss that rises about γ = 2, its median is there; and its times follow."""
    from murmur.schedule import LogisticSchedule

    schedule = LogisticSchedule()
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.05)
    gamma_B = torch.linspace(-8, 8, 200)
    loss_B = 3 * torch.sigmoid((gamma_B - 2) / 0.5)
    for _ in range(600):
        optimizer.zero_grad()
        ((schedule.expected_loss(gamma_B) - loss_B) ** 2).mean().backward()
        optimizer.step()
    half = torch.tensor([0.5], dtype=torch.float64)
    assert float(schedule.gamma(half)) == pytest.approx(2, abs=0.05)
    assert schedule.time_of_ratio(float(schedule.ratio(half))) == pytest.approx(0.5)


def dlmone(environment: dict[str, str], *arguments: object) -> str:
    command = [sys.executable, "-m", "dlmone", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_is_trained_published_loaded_and_generates(
    installed: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    environment, run = installed(PACKAGE), tmp_path / "run"
    assert "dlmone-murmur" in dlmone(environment, "plugins")
    dlmone(environment, "check", HERE / "recipe.toml")
    dlmone(environment, "run", HERE / "recipe.toml", "--run-dir", run)
    rows = json.loads((run / "report" / "results.json").read_text())["rows"]
    calls = {(row["model"], row["calls"]) for row in rows}
    assert {("teacher", 1), ("teacher", 4), ("student, stage-1", 1), ("student, stage-2", 2)} <= calls
    for model in ("teacher", "student"):
        tensors = load_file(run / model / "model.safetensors")
        assert "space.raw_rows" in tensors
        assert not [name for name in tensors if name.startswith("network.space.")], "the space is there once"
        loc = tensors["space.schedule.loc"]
        assert loc != 0, "the schedule is learned, and published"
    [line, *_] = (run / "samples" / "student-stage-2-1.jsonl").read_text().splitlines()
    source = json.loads(line)["source"]
    outputs = [dlmone(environment, "generate", run / "student", source, "--seed", seed) for seed in (0, 0, 1)]
    assert outputs[0] == outputs[1] != outputs[2]
