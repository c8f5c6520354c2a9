"""How long a training step waits for a checkpoint: written in the step, and by the background thread.

TMPDIR=. python benchmarks/checkpoint.py --mib 1024 --rounds 5      # TMPDIR names the disk
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from dlmone.runtime.device import keep_freed_memory
from dlmone.training.saving.checkpoint import Checkpoint, save_checkpoint
from dlmone.training.saving.checkpoint_writer import CheckpointWriter

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--mib", type=int, default=1024, help="size of the state")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=1)
arguments = parser.parse_args()


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def table(name: str, values: list[float]) -> None:
    listed = ", ".join(f"{value:.2f}" for value in values)
    print(f"{name:42} {median(values):.2f} s  ({listed})")


torch.set_num_threads(arguments.threads)
keep_freed_memory()
# Four MiB a tensor, as a layer's weights and moments.
one = torch.randn(2**20)
tensors = {str(number): one.clone() for number in range(arguments.mib // 4)}
in_step, copied, until_whole = [], [], []
with (
    tempfile.TemporaryDirectory() as folder,
    CheckpointWriter(Path(folder), 1, lambda *_: None) as writer,
):
    for step in range(1, 2 * arguments.rounds, 2):
        first, second = (Checkpoint(step + more, tensors, {}) for more in (0, 1))
        in_step.append(seconds(lambda: save_checkpoint(Path(folder), first, 1)))  # noqa: B023
        copied.append(seconds(lambda: writer.save(second)))  # noqa: B023
        until_whole.append(copied[-1] + seconds(writer.wait))
table("written in the step: the step waits", in_step)
table("written in the background: the step waits", copied)
table("  and it is on the disk after", until_whole)
