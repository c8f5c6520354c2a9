"""plugins/diffuseq/packed.py: rearranged weights give the same numbers."""

import copy

import pytest
import torch
from torch import nn

from dlmone.core import Batch
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.diffuseq.network import DiffuSeqNetwork
from dlmone.plugins.diffuseq.packed import PackedLinear, _has_kernels

needs_kernels = pytest.mark.skipif(not _has_kernels(), reason="PyTorch has no such kernels here")


def network():
    torch.manual_seed(0)
    schedule = discrete_schedule("sqrt", 2000)
    sizes = {"hidden_dim": 32, "hidden_t_dim": 32, "width": 64, "layers": 2, "heads": 4, "feedforward": 128}
    return DiffuSeqNetwork(schedule, **sizes).requires_grad_(False).eval()


@needs_kernels
@pytest.mark.parametrize("size", [1, 3])
def test_the_answer_is_that_of_plain_bfloat16_weights(size):
    plain = network()
    plain.to_precision(torch.bfloat16)
    packed = copy.deepcopy(plain)
    packed.pack()
    assert sum(isinstance(part, PackedLinear) for part in packed.modules()) == 2 * 6 + 3
    kept = [name for name, part in packed.named_modules() if isinstance(part, nn.Linear)]
    assert kept == ["time_embed.0", "time_embed.2", "output_down_proj.2"]
    e, t_B = torch.randn(size, 24, 32), torch.full((size,), 1490)
    batch = Batch(
        ("",) * size, torch.zeros(size, 24, dtype=torch.long), torch.ones(size, 24, dtype=torch.bool)
    )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        ours, theirs = packed.denoise(e, t_B, batch).x0, plain.denoise(e, t_B, batch).x0
    torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


def test_float32_weights_stay_as_they_are():
    one = network()
    one.pack()
    assert not any(isinstance(part, PackedLinear) for part in one.modules())
