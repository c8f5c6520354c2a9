"""Write checkpoints in a thread of their own, while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from dlmone.runtime.shards import whole
from dlmone.runtime.tensors import host_copy

from .checkpoint import Checkpoint, save_checkpoint


class CheckpointWriter:
    """Write a stage's checkpoints, one at a time, by the main process.

    Training waits for the copy of its state; a GPU makes that by itself. It waits for the disk only where the
    next checkpoint comes first, and at its end.

    Args:
        folder: that of the stage's checkpoints.
        keep: how many of the newest stay.
        saved: called with the step and the path of each checkpoint once it is on the disk, in the caller's
            thread.
        main: whether this is the main process.
    """

    def __init__(
        self, folder: Path, keep: int, saved: Callable[[int, Path], None], *, main: bool = True
    ) -> None:
        self.folder, self.keep, self._saved, self._main = folder, keep, saved, main
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._pending: tuple[int, Future[Path]] | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Copy a training state and begin to write it, once the one before is written.

        Every process calls this. Sharded tensors are made whole one after the other.

        Raises:
            DlmoneError: the one before could not be written.
        """
        tensors = ((name, whole(tensor)) for name, tensor in checkpoint.tensors.items())
        if not self._main:
            for _ in tensors:
                pass
            return
        self.wait()
        copies, copied = host_copy(tensors)
        held = Checkpoint(checkpoint.step, copies, checkpoint.facts)

        def write() -> Path:
            copied()
            return save_checkpoint(self.folder, held, self.keep)

        self._pending = checkpoint.step, self._pool.submit(write)

    def look(self) -> None:
        """Report a checkpoint if it has been written meanwhile; raises as `wait` does."""
        if self._pending and self._pending[1].done():
            self.wait()

    def wait(self) -> Path | None:
        """Wait until what was saved is on the disk, and return its path; None if it was reported before.

        Raises:
            DlmoneError: it could not be written.
        """
        if self._pending is None:
            return None
        (step, written), self._pending = self._pending, None
        path = written.result()
        self._saved(step, path)
        return path

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Where training failed, what it began to save is kept.
        self._pool.shutdown()
