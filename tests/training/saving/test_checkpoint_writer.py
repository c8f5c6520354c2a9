"""dlmone/training/saving/checkpoint_writer.py: training goes on while a checkpoint is written."""

import errno
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dlmone.core import DlmoneError
from dlmone.training.saving import checkpoint_writer
from dlmone.training.saving.checkpoint import Checkpoint, load_latest, save_checkpoint, step_folders
from dlmone.training.saving.checkpoint_writer import CheckpointWriter


class Disk:
    """A disk that writes when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        monkeypatch.setattr(checkpoint_writer, "save_checkpoint", self.save)

    def save(self, folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
        assert self.free.wait(60)
        return save_checkpoint(folder, checkpoint, keep)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def writer(tmp_path: Path) -> CheckpointWriter:
    """It notes what is saved, and in which thread that is said."""
    notes: list[object] = []
    writer = CheckpointWriter(
        tmp_path, 2, lambda step, path: notes.extend([step, path, threading.current_thread()])
    )
    writer.notes = notes  # type: ignore[attr-defined]
    return writer


def test_the_state_is_that_of_the_moment_it_was_saved(
    disk: Disk, writer: CheckpointWriter, tmp_path: Path
) -> None:
    held = torch.ones(3, 2)
    tensors = {"a": held, "turned": held.T, "tied": held}
    with writer:
        writer.save(Checkpoint(4, tensors, {}))
        held.mul_(7)  # training goes on
        writer.look()
        assert writer.notes == []
        assert step_folders(tmp_path) == []
        disk.free.set()
        path = writer.wait()
        assert writer.wait() is None
    assert writer.notes == [4, path, threading.current_thread()]
    saved = load_file(tmp_path / "step-000004" / "state.safetensors")
    assert {name: value.shape for name, value in saved.items()} == {
        "a": (3, 2), "turned": (2, 3), "tied": (3, 2),
    }  # fmt: skip
    assert all(bool((value == 1).all()) for value in saved.values())


def test_the_next_checkpoint_waits_for_the_one_before(
    disk: Disk, writer: CheckpointWriter, tmp_path: Path
) -> None:
    with writer:
        writer.save(Checkpoint(1, {"a": torch.zeros(1)}, {}))
        threading.Timer(0.2, disk.free.set).start()
        writer.save(Checkpoint(2, {"a": torch.zeros(1)}, {}))
        assert writer.notes[0] == 1
        assert (tmp_path / "step-000001").is_dir()
    assert [path.name for path in step_folders(tmp_path)] == ["step-000001", "step-000002"]


def test_a_checkpoint_is_reported_when_it_is_looked_for(writer: CheckpointWriter) -> None:
    with writer:
        writer.save(Checkpoint(1, {"a": torch.zeros(1)}, {}))
        while not writer.notes:
            writer.look()
    assert writer.notes[0] == 1


def test_a_full_disk_is_told_in_one_sentence(
    writer: CheckpointWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with writer:
        writer.save(Checkpoint(1, {"a": torch.zeros(1)}, {}))
        writer.wait()
        monkeypatch.setattr("dlmone.training.saving.checkpoint.save_tensors", full)
        writer.save(Checkpoint(2, {"a": torch.zeros(1)}, {}))
        with pytest.raises(
            DlmoneError, match=r"No space left on device.*last good checkpoint is .*step-000001"
        ):
            writer.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_training_that_fails_keeps_what_it_began_to_save(
    disk: Disk, writer: CheckpointWriter, tmp_path: Path
) -> None:
    def train() -> None:
        with writer:
            writer.save(Checkpoint(1, {"a": torch.zeros(1)}, {}))
            threading.Timer(0.2, disk.free.set).start()
            raise DlmoneError("diverged")

    with pytest.raises(DlmoneError, match="diverged"):
        train()
    assert load_latest(tmp_path) is not None


def test_a_kill_while_the_state_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    code = f"""
    import os, signal, torch
    from pathlib import Path
    from dlmone.training.saving import checkpoint
    from dlmone.training.saving.checkpoint import Checkpoint
    from dlmone.training.saving.checkpoint_writer import CheckpointWriter

    def torn(tensors, path):
        save(tensors, path)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    writer = CheckpointWriter(Path({str(tmp_path)!r}), 1, lambda step, path: None)
    writer.save(Checkpoint(1, {{"x": torch.ones(1000)}}, {{}}))
    writer.wait()
    save, checkpoint.save_tensors = checkpoint.save_tensors, torn
    writer.save(Checkpoint(2, {{"x": torch.zeros(1000)}}, {{}}))
    while True:  # a step
        pass
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=200)
    assert killed.returncode == -9
    latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.step == 1
    assert latest.tensors["x"].tolist() == [1.0] * 1000
    assert [path.name for path in step_folders(tmp_path)] == ["step-000001"]
