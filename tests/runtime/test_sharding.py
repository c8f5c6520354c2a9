"""dlmone/runtime/sharding.py and shards.py, on two gloo processes: against the same network, whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import copy, warnings
import torch
from torch import nn
from dlmone.core import Denoised, Denoiser, Teacher
from dlmone.core.model.denoiser import copy_network
from dlmone.core.step.context import frozen
from dlmone.registry.schema import PretrainOptimizer
from dlmone.runtime.distributed import World
from dlmone.runtime.gradients import GradientSum
from dlmone.runtime import sharding, shards
from dlmone.training.updates.optimizer import MovingAverage, Optimizer
from torch.distributed.fsdp import FSDPModule

warnings.simplefilter("error")
torch.set_num_threads(1)
world = World.join()
mesh = sharding.mesh_of(torch.device("cpu"))
close = lambda found, right: torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-7)


class Space(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, 3))


class Layer(nn.Linear):
    def forward(self, h):
        return super().forward(h).tanh()


class Network(Denoiser):
    # Five rows don't divide by two, a number and one row still less; one layer is tied to its surroundings.
    def __init__(self, space):
        super().__init__()
        self.space = space
        self.up = nn.Linear(3, 5)
        self.layers = nn.ModuleList([Layer(5, 5), Layer(5, 5), Layer(5, 5)])
        self.layers[2].bias = self.up.bias
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.gain = nn.Parameter(torch.ones(1))
        self.down = nn.Linear(5, 3)
        self.register_buffer("shift", torch.full((3,), 0.1), persistent=False)

    def denoise(self, e_t, t_B, batch, *, features=False):
        h = self.embed(e_t)
        for layer in self.layers:
            h = layer(h)
        out = self.down(h * self.scale) + self.gain + self.shift + self.space.table[0]
        return Denoised(out, features_BNH=h) if features else Denoised(out)

    def embed(self, e_t):
        return self.up(e_t)

    def twice(self, e_t):
        return self.denoise(self.denoise(e_t, None, None).x0, None, None)


torch.manual_seed(0)
space = Space().requires_grad_(False)
plain = Network(space)
part = copy_network(plain, space)
average, plain_average = (copy_network(plain, space).requires_grad_(False) for _ in range(2))
# Made before the networks are sharded, as training does.
averagings = [MovingAverage(average, part), MovingAverage(plain_average, plain)]
for network in (part, average):
    sharding.shard(network, mesh, space)
assert [type(layer).__name__ for layer in part.layers] == ["FSDPLayer", "FSDPLayer", "Layer"]
assert part.space is space and not shards.is_sharded(space.table)
held = sum(shards.local(one).numel() for one in part.parameters() if shards.is_sharded(one))
total = sum(one.numel() for one in plain.parameters() if one.dim() and one is not space.table)
assert sum(world.gather(held)) == total and held < 0.65 * total, (held, total)

config = PretrainOptimizer(lr=0.1, eps=1e-3, clip_norm=0.5, clip_value=0.4)
optimizer, plain_optimizer = Optimizer(part, config), Optimizer(plain, config)
summed = GradientSum(part.parameters(), world)
samples = torch.randn(3, 8, 3)  # of three updates
for update, batch in enumerate(samples):
    share = batch[world.rank * 4 : world.rank * 4 + 4]
    # Two backward passes, of two passes each: at a state, and at one that depends on the network itself.
    for rows in (slice(0, 1), slice(1, 4)):
        found = part(share[rows], None, None, features=True)
        loss = found.x0.square().sum() + found.features_BNH.sum() + part.twice(share[rows]).x0.sum()
        if rows.stop == 4:
            summed.before_last()
        (loss / 8).backward()
    summed.finish()
    whole = plain.denoise(batch, None, None, features=True)
    loss = whole.x0.square().sum() + whole.features_BNH.sum() + plain.twice(batch).x0.sum()
    (loss / 8).backward()
    for (name, one), right in zip(part.named_parameters(), plain.parameters(), strict=True):
        if right.grad is not None:
            close(shards.whole(one.grad), right.grad)
    gradients = [one.grad for one in part.parameters() if one.grad is not None]
    norms = torch.stack([one.grad.norm() for one in plain.parameters() if one.grad is not None])
    close(shards.norms(gradients), norms)
    assert norms.norm() > config.clip_norm, norms.norm()  # so that it is clipped
    if update == 1:  # one entry that one process alone holds
        last = shards.local(part.down.weight.grad)
        if world.rank == 1:
            last.view(-1)[-1] = float("nan")
        plain.down.weight.grad.view(-1)[-1] = float("nan")
    finite = optimizer.step()
    assert bool(finite) is bool(plain_optimizer.step()) is (update != 1)
    for averaging in averagings:
        averaging.update(0.5)
    for mine, right in ((part, plain), (average, plain_average)):
        with torch.no_grad():  # twice, to see that nothing gathered is kept over an update
            close(mine.denoise(batch, None, None).x0, right.denoise(batch, None, None).x0)
        for one, its in zip(mine.parameters(), right.parameters(), strict=True):
            close(shards.whole(one), its.detach())

# Gradient through a frozen network to its input.
inputs = [samples[0].clone().requires_grad_() for _ in range(2)]
for network, e_t in zip((part, plain), inputs):
    with frozen(network):
        network.denoise(e_t, None, None).x0.square().sum().backward()
close(inputs[0].grad, inputs[1].grad)
assert all(one.grad is None for one in part.parameters())

# A whole copy is an ordinary network of its own.
copied = sharding.whole_copy(part)
assert type(copied) is Network and not any(isinstance(one, FSDPModule) for one in copied.modules())
assert copied.layers[2].bias is copied.up.bias and copied.space is not space
close(copied.denoise(samples[0], None, None).x0, plain.denoise(samples[0], None, None).x0)
assert sharding.whole_copy(plain) is not plain

# States are whole, and load into networks and optimizers of either kind.
state = {name: shards.whole(value).clone() for name, value in shards.whole_state(part).items()}
moments = {name: shards.whole(value).clone() for name, value in optimizer.state().items()}
assert {name: value.shape for name, value in moments.items()} == {
    name: value.shape for name, value in plain_optimizer.state().items()}
fresh = Network(space)
fresh_part = copy_network(fresh, space)
sharding.shard(fresh_part, mesh, space)
for network in (fresh, fresh_part):
    shards.load_state(network, state)
    again = Optimizer(network, config)
    again.load(moments)
    for name, value in again.state().items():
        assert torch.equal(shards.whole(value), moments[name]), name
    for name, value in network.state_dict().items():
        assert torch.equal(shards.whole(value), state[name]), name
    network.denoise(samples[0], None, None).x0.sum().backward()
    again.step()
assert any(shards.is_sharded(value) for value in again.state().values())
try:
    shards.load_state(fresh_part, {**state, "up.weight": torch.zeros(4, 3)})
except RuntimeError as error:
    assert "up.weight" in str(error)
else:
    raise AssertionError("another shape was loaded")

# A teacher whose loss makes a first pass, without gradient, on one process only.
class Learner(Teacher):
    def __init__(self):
        super().__init__()
        self.space = Space()
        self.network = Network(self.space)

    build = restore = config = None

    def training_loss(self, batch, first):
        if first:
            with torch.no_grad():
                self.network.twice(batch)
        return self.network.denoise(batch, None, None).x0.square().sum()


Learner.__abstractmethods__ = frozenset()
plain = Learner()
part = copy.deepcopy(plain)
sharding.shard(part, mesh)
optimizer, plain_optimizer = Optimizer(part, config), Optimizer(plain, config)
summed = GradientSum(part.parameters(), world)
for batch in samples:
    share = batch[world.rank * 4 : world.rank * 4 + 4]
    for last, rows in ((False, share[:2]), (True, share[2:])):
        with shards.gathered(part):
            loss = part.training_loss(rows, first=world.rank == 0)
            if last:
                summed.before_last()
            loss.backward()
    summed.finish()
    plain.training_loss(batch, first=True).backward()
    assert all(shards.is_sharded(one) for one in part.parameters() if one.dim())
    for one, right in zip(part.parameters(), plain.parameters(), strict=True):
        close(shards.whole(one.grad), right.grad)
    optimizer.step()
    plain_optimizer.step()
    for one, right in zip(part.parameters(), plain.parameters(), strict=True):
        close(shards.whole(one), right.detach())
print("right", flush=True)
"""


@pytest.mark.usefixtures("shards")
def test_a_sharded_network_is_trained_as_the_whole_one(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    answer = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("right") == 2
