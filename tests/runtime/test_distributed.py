"""dlmone/runtime/distributed.py and gradients.py, on three gloo processes."""

import os
import subprocess
import sys
from pathlib import Path

# What each process checks of its own part. Sums of whole numbers are exact in any order.
WORKER = """
import atexit
import torch, torch.distributed as dist
from torch import nn
from dlmone.runtime.distributed import World
from dlmone.runtime.gradients import GradientSum

torch.set_num_threads(1)
# Called last of all.
atexit.register(lambda: print("joined" if dist.is_initialized() else "left", flush=True))
world = World.join()
rank, cpu = world.rank, torch.device("cpu")
gathered = []
real = dist.all_gather_object
dist.all_gather_object = lambda *args: (gathered.append(1), real(*args))

def number(value):
    return torch.tensor(float(value), dtype=torch.float64)

# Names that one process alone has, one that none has any more, and one that comes later.
for step, mine in enumerate([{"loss": 1 + rank} | ({"only": 5} if rank == 1 else {}),
                             {"loss": 10 * rank}, {"loss": 1, "later": rank} if rank else {}]):
    found = world.sum_named({name: number(value) for name, value in mine.items()}, cpu)
    assert {name: value.item() for name, value in found.items()} == [
        {"loss": 6.0, "only": 5.0}, {"loss": 30.0}, {"loss": 2.0, "later": 3.0}][step], (step, found)
assert world.sum_named({}, cpu) == {}
assert len(gathered) == 2, gathered

for _ in range(2):  # uneven shares, none at all, and dtypes of their own
    share = torch.arange(2 * rank) + 10 * rank
    own = {"t": share, "loss": share.float() / 4} if rank else {}
    found = world.concatenate(own)
    assert found["t"].tolist() == [10, 11, 20, 21, 22, 23] and found["t"].dtype == torch.int64, found
    assert found["loss"].tolist() == [2.5, 2.75, 5.0, 5.25, 5.5, 5.75], found
    assert found["loss"].dtype == torch.float32
assert len(gathered) == 3, gathered

assert [world.any(rank == 2), world.any(False)] == [True, False]
assert len(gathered) == 3, gathered

# Two microbatches; the last process has none; the middle one doesn't use the second layer.
torch.manual_seed(0)
first, second = nn.Linear(3, 3), nn.Linear(3, 1)
parameters = [*first.parameters(), *second.parameters()]
summed = GradientSum(parameters, world, size=16)
for update in range(2):
    for parameter in parameters:
        parameter.grad = None
    for last in (False, True) if rank < 2 else ():
        if last:
            summed.before_last()
        hidden = first(torch.full((1, 3), float(rank + 1)))
        (second(hidden) if rank == 0 else hidden).sum().backward()
    summed.finish()
    ones = torch.ones(3)
    want = [2 * second.weight.T.expand(3, 3) + 4 * torch.ones(3, 3), 2 * second.weight[0] + 2 * ones,
            2 * first(torch.ones(1, 3)), torch.full((1,), 2.0)]
    for parameter, right in zip(parameters, want):
        torch.testing.assert_close(parameter.grad, right.detach())
    every = world.gather([parameter.grad for parameter in parameters])
    assert all(torch.equal(a, b) for other in every for a, b in zip(every[0], other))
print("right", flush=True)
"""


def test_processes_add_up_what_each_has(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=3", str(script)]
    answer = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("right") == answer.stdout.count("left") == 3
