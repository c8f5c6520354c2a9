"""The engine's parts, each against its law: data order, averages, checkpoints, run directory."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlmone.core import DlmoneError, InputError
from dlmone.registry.schema import Ema, PretrainOptimizer
from dlmone.registry.schema import Optimizer as OptimizerConfig
from dlmone.runtime.device import resolve_device
from dlmone.runtime.distributed import World
from dlmone.training.checkpoint import (
    Checkpoint,
    load_agreed,
    load_latest,
    pack,
    save_checkpoint,
    step_folders,
    unpack,
)
from dlmone.training.data_order import DataOrder
from dlmone.training.optimizer import MovingAverage, Optimizer, ema_decay, learning_rate
from dlmone.training.run_directory import RunDirectory, latest_run_path, new_run_path


@settings(deadline=None)
@given(size=st.integers(1, 40), batch=st.integers(1, 50), epochs=st.integers(1, 3))
def test_every_epoch_holds_every_example_once(size: int, batch: int, epochs: int) -> None:
    order = DataOrder(size, (0, "x"), batch)
    steps = -(-size * epochs // batch)
    seen = [place for step in range(steps) for place in order[step]][: size * epochs]
    for epoch in range(epochs):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_a_batch_is_a_function_of_the_step() -> None:
    a, b = (DataOrder(10, (0, "x"), 4) for _ in range(2))
    forwards = [a[step] for step in range(8)]
    assert [b[step] for step in reversed(range(8))] == forwards[::-1]
    assert [DataOrder(10, (1, "x"), 4)[step] for step in range(8)] != forwards


@given(size=st.integers(1, 8), items=st.integers(0, 50))
def test_shares_cover_the_batch_in_rank_order(size: int, items: int) -> None:
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert [position for share in shares for position in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_ema_decay_halves_in_a_half_life_and_ramps_up() -> None:
    plain = Ema(half_life=1000, ramp=None)
    assert ema_decay(plain, 100, 5) ** 10 == pytest.approx(0.5)
    ramped = Ema(half_life=1000, ramp=0.05)
    assert ema_decay(ramped, 100, 1) == pytest.approx(0.5**20)
    assert ema_decay(ramped, 100, 10**6) == ema_decay(plain, 100, 1)


def test_the_average_is_the_convex_combination() -> None:
    average, module = nn.Linear(3, 3), nn.Linear(3, 3)
    expected = 0.75 * average.weight + 0.25 * module.weight
    MovingAverage(average, module).update(0.75)
    torch.testing.assert_close(average.weight, expected)


def test_what_is_learned_outside_the_parameters_reaches_the_average() -> None:
    average, module = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    module(torch.randn(5, 3))
    MovingAverage(average, module).update(0.75)
    assert torch.equal(average.running_mean, module.running_mean)
    assert average.num_batches_tracked == 1


def test_a_buffer_that_was_replaced_reaches_the_average() -> None:
    average, module = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    averaging = MovingAverage(average, module)
    for value in (1.0, 2.0):
        module.running_mean = torch.full((3,), value)
        average.running_var = torch.zeros(3)
        averaging.update(0.75)
        assert torch.equal(average.running_mean, module.running_mean)
        assert torch.equal(average.running_var, module.running_var)


def test_integer_betas_and_infinite_gradients_are_survived() -> None:
    module = nn.Linear(2, 1)
    optimizer = Optimizer(module, OptimizerConfig.model_validate({"lr": 0.1, "beta1": 0}))
    before = module.bias.detach().clone()
    module.weight.grad = torch.tensor([[float("nan"), float("inf")]])
    module.bias.grad = torch.ones(1)
    optimizer.step()
    assert module.weight.isfinite().all()
    assert (module.bias < before).all()


def test_optimizer_state_survives_a_round_trip() -> None:
    def stepped(module: nn.Module, optimizer: Optimizer, times: int) -> None:
        for i in range(times):
            torch.manual_seed(i + 10 * len(optimizer.state()))
            (module(torch.randn(4, 3)) ** 2).mean().backward()
            optimizer.step()

    config = PretrainOptimizer(lr=0.01)
    torch.manual_seed(0)
    one = nn.Linear(3, 2)
    two = nn.Linear(3, 2)
    first = Optimizer(one, config)
    stepped(one, first, 3)
    two.load_state_dict(one.state_dict())
    second = Optimizer(two, config)
    second.load(first.state())
    stepped(one, first, 2)
    stepped(two, second, 2)
    assert torch.equal(one.weight, two.weight)
    assert all(torch.equal(a, second.state()[name]) for name, a in first.state().items())


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, pack(a={"x": torch.full((2,), step)}, b={"y.z": torch.zeros(1)}), {"best": 0.5})


def test_checkpoints_are_kept_read_and_pruned(tmp_path: Path) -> None:
    assert load_latest(tmp_path) is None
    for step in (1, 2, 30):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert [path.name for path in step_folders(tmp_path)] == ["step-000002", "step-000030"]
    save_checkpoint(tmp_path, checkpoint(1_000_000), keep=1)
    assert [path.name for path in step_folders(tmp_path)] == ["step-1000000"]
    latest = load_latest(tmp_path)
    assert latest is not None
    assert (latest.step, latest.facts) == (1_000_000, {"best": 0.5})
    assert unpack(latest.tensors, "a")["x"].tolist() == [1_000_000] * 2
    assert list(unpack(latest.tensors, "b")) == ["y.z"]


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_damaged_checkpoints_are_stepped_over(tmp_path: Path, damage) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    weights = tmp_path / "step-000002" / "state.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.warns(UserWarning, match="step-000002.*skipped an incomplete"):
        latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.step == 1


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint(1), keep=2) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["format"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"step-000001: .* another version of dlmone"):
        load_latest(tmp_path)


class Second(World):
    """The second process, of a main one that resumes from step 1."""

    def __init__(self) -> None:
        super().__init__(1, 2)

    def agree(self, value: object) -> object:
        return 1


def test_one_process_decides_from_which_checkpoint_all_resume(tmp_path: Path) -> None:
    assert load_agreed(tmp_path, World()) is None
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    found = load_agreed(tmp_path, World()), load_agreed(tmp_path, Second())
    assert [one and one.step for one in found] == [2, 1]
    with pytest.raises(InputError, match=r"step-000001: process 1 can't read .* the same file system"):
        load_agreed(tmp_path / "elsewhere", Second())


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    # A real limit on file sizes, in a process of its own: writing fails half-way as on a full disk.
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    code = f"""
    import resource, signal, torch
    from pathlib import Path
    from dlmone.core import DlmoneError
    from dlmone.training.checkpoint import Checkpoint, save_checkpoint
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        save_checkpoint(Path({str(tmp_path)!r}), Checkpoint(2, {{"x": torch.zeros(10**6)}}, {{}}), keep=1)
    except DlmoneError as error:
        print(error)
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "could not be written" in answer.stdout
    assert "step-000001" in answer.stdout
    latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_run_directory_in_use_is_refused(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    first.open()
    with pytest.raises(InputError, match="in use"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_rewinding_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    run_dir = RunDirectory(tmp_path)
    for stage, step in (("a", 0), ("a", 5), ("b", 0), ("b", 3), ("b", 4)):
        run_dir.log(stage, step, {"kind": "train"})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "b", "st')  # torn by a kill
    run_dir.rewind("b", 3)
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in entries] == [("a", 0), ("a", 5), ("b", 0), ("b", 3)]


@pytest.mark.parametrize(
    "other", [b"\xff\xfe\0", b"caf\xe9", b"[1]", b"{}", b'{"stage": "b", "step": "x"}', b"[" * 10**5]
)
def test_rewinding_keeps_what_is_no_entry(tmp_path: Path, other: bytes) -> None:
    run_dir = RunDirectory(tmp_path)
    run_dir.log("b", 3, {})
    log = tmp_path / "metrics.jsonl"
    before = log.read_bytes() + other + b"\n"
    log.write_bytes(before)
    run_dir.log("b", 4, {})
    run_dir.rewind("b", 3)
    assert log.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_run_goes_on_from_the_models_that_it_began_from(tmp_path: Path, tiny_run: Path) -> None:
    run_dir, key = RunDirectory(tmp_path), "stages.stage-1.start"
    began = run_dir.check_models({key: tiny_run / "student"})
    assert began[key]["path"] == str(tiny_run / "student")
    run_dir.write_manifest([], 0, "cpu", [], began)
    assert run_dir.check_models({key: tiny_run / "student"}) == began
    with pytest.raises(InputError, match=f"{key}: .* is not the model that this run began from"):
        run_dir.check_models({key: tiny_run / "teacher"})


def test_a_full_disk_names_the_log_and_the_way_on(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.symlink_to("/dev/full")
    with pytest.raises(
        DlmoneError, match=rf"^{log}: cannot be written \(No space left on device\); --resume"
    ):
        RunDirectory(tmp_path).log("a", 0, {"kind": "train"})


@pytest.mark.parametrize("name", ["tpu", "meta", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:0 ", "", "CPU"])
def test_a_device_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"there is no device .*; expected auto, cpu, cuda or cuda:N$"):
        resolve_device(name)


def test_a_device_is_there_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="'cuda:1' was asked for, but no CUDA device is available here"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="'cuda:2' was asked for, but the last one here is cuda:1"):
        resolve_device("cuda:2")


def test_run_directories_are_numbered(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run"):
        latest_run_path(tmp_path, "qqp", "quick")
    for number in range(1, 12):
        path = new_run_path(tmp_path, "qqp", "quick")
        assert path.name == f"qqp-quick-{number}"
        path.mkdir()
    (tmp_path / "qqp-quick-draft").mkdir()
    assert latest_run_path(tmp_path, "qqp", "quick").name == "qqp-quick-11"
    for pattern in ("*", "[q]qp", "??p"):
        with pytest.raises(InputError, match="no run"):
            latest_run_path(tmp_path, pattern, "quick")


def test_a_stages_rate_rises_and_falls() -> None:
    rates = [learning_rate(2.0, 2, "linear", step, 4) for step in range(4)]
    assert rates == [1.0, 1.5, 1.0, 0.5]
    assert [learning_rate(2.0, 0, "constant", step, 4) for step in range(4)] == [2.0] * 4


def test_an_odd_folder_among_checkpoints_is_no_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(3, {"a": torch.zeros(1)}, {}), keep=2)
    for name in ("step-old", "step-", "step-1.5"):
        (tmp_path / name).mkdir()
    for content in ("[]", "null", '{"format": null}', "[" * 10**5):
        touched = tmp_path / "step-000009"
        touched.mkdir(exist_ok=True)
        (touched / "manifest.json").write_text(content)
        if "format" not in content:
            with pytest.warns(UserWarning, match="skipped an incomplete or altered checkpoint"):
                latest = load_latest(tmp_path)
            assert latest is not None
            assert latest.step == 3
