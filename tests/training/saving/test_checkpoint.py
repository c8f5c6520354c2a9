"""dlmone/training/saving/checkpoint.py: checkpoints are kept, read, pruned and stepped over."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from dlmone.core import InputError
from dlmone.runtime.distributed import World
from dlmone.training.saving.checkpoint import (
    Checkpoint,
    load_agreed,
    load_latest,
    pack,
    save_checkpoint,
    step_folders,
    unpack,
)


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


@pytest.mark.parametrize("change", [{"step": 1}, {"step": 3}, {"facts": {}}, {"facts": {"best": 0.6}}])
def test_an_altered_manifest_is_stepped_over(tmp_path: Path, change: dict[str, object]) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    manifest = tmp_path / "step-000002" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.warns(UserWarning, match="step-000002.*skipped an incomplete"):
        latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.step == 1


def test_a_renamed_checkpoint_is_stepped_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(2), keep=2).rename(tmp_path / "step-000009")
    with pytest.warns(UserWarning, match="it is that of step 2"):
        assert load_latest(tmp_path) is None


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
    from dlmone.training.saving.checkpoint import Checkpoint, save_checkpoint
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
