"""benchmarks/roofline.py: bytes and FLOPs of operators, in the precision that a GPU computes them in."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dlmone.plugins.bert.encoder import Encoder

from .fake_cuda import CUDA

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from roofline import PEAKS, Roofline, fake_gpu

PEAK = PEAKS["H100 SXM"]


def test_a_product_has_its_bytes_and_flops() -> None:
    with fake_gpu("input"):
        a, b = torch.ones(32, 64, device=CUDA), torch.ones(64, 16, device=CUDA)
        with Roofline(PEAK) as roofline:
            a @ b
    assert [*roofline.rows] == ["mm, float32"]
    row = roofline.rows["mm, float32"]
    assert (row.calls, row.bytes, row.flops) == (1, 4 * (32 * 64 + 64 * 16 + 32 * 16), 2 * 32 * 64 * 16)
    assert row.seconds == max(row.bytes / PEAK.bandwidth, row.flops / PEAK.others)


def test_an_expanded_tensor_is_read_once() -> None:
    with fake_gpu("input"):
        one, many = torch.ones(1, 8, device=CUDA), torch.ones(100, 8, device=CUDA)
        with Roofline(PEAK) as roofline:
            one.expand(100, 8) + many
    assert roofline.rows["add, float32"].bytes == 4 * (8 + 800 + 800)


@pytest.mark.parametrize(("norms", "stream"), [("input", torch.bfloat16), ("float32", torch.float32)])
def test_the_streams_precision_follows_from_the_norms(norms: str, stream: torch.dtype) -> None:
    """Under autocast on a GPU: the encoder's stream stays in half precision, and so do its sums."""
    seen: list[torch.dtype] = []
    with fake_gpu(norms):
        network = Encoder(2, 32, 4, 64, dropout=0.1, attention_dropout=0.1).to(CUDA)
        for layer in network.layer:
            layer.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
        x = torch.ones(3, 5, 32, device=CUDA, requires_grad=True)
        with Roofline(PEAK) as roofline, torch.autocast("cuda", torch.bfloat16):
            out: Any = network(x.to(torch.bfloat16))
        out.float().sum().backward()
    assert seen == [stream, stream]
    assert x.grad is not None
    sums = {name: row.calls for name, row in roofline.rows.items() if name.startswith("add,")}
    assert sums == ({"add, bfloat16": 4} if norms == "input" else {"add, bfloat16": 1, "add, float32": 3})
    assert roofline.rows["_scaled_dot_product_flash_attention, bfloat16"].calls == 2
    assert roofline.rows["addmm, bfloat16"].calls == 12
