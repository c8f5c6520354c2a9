"""Estimate from its operators how long a GPU needs for a step: no GPU, no data, no memory.

    python benchmarks/roofline.py                         # the released shape, batch 64, an H100 SXM
    python benchmarks/roofline.py --norms float32         # layer normalisation as CUDA's autocast has it

Tensors are fake CUDA ones: shapes and dtypes alone. Every operator of a pretraining step and of an iteration
of SiD + Diffusion-GAN is counted with its bytes (what it reads and writes; views move nothing) and FLOPs. It
takes the longer of bytes/bandwidth and FLOPs/peak of its precision. Caches, launches and the host are left
out: this is a lower bound for operators as they are, one by one, without a compiler that fuses them.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from gpu_training import PAPER, REGISTRY, TINY, pairs
from slowdown import STAGE
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from dlmone.plugins.bert.norm import LayerNorm
from dlmone.registry.schema import Pretrain, Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.gpu.fake_cuda import CUDA, FakeCuda


@dataclass(frozen=True, slots=True)
class Peak:
    """What a GPU can do at most: FLOP/s of dense products by dtype, of anything else, and bytes/s."""

    products: dict[torch.dtype, float]
    others: float
    bandwidth: float


#: NVIDIA's data sheets, without sparsity. Float32 products are exact ones (no TF32), as θ's update has them.
PEAKS = {
    "H100 SXM": Peak({torch.bfloat16: 989e12}, 67e12, 3.35e12),
    "H100 PCIe": Peak({torch.bfloat16: 756e12}, 51e12, 2.0e12),
    "A100 SXM 80GB": Peak({torch.bfloat16: 312e12}, 19.5e12, 2.04e12),
}
#: Operators that move nothing: they make room for another one's result, or name a tensor.
FREE = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "detach",
    "alias",
    "_unsafe_view",
    "_reshape_alias",
}
#: What autocast computes in half precision, of what these networks use, and in float32.
HALF: set[Any] = {
    functional.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.bmm,
    torch.addmm, functional.scaled_dot_product_attention,
}  # fmt: skip
FULL: set[Any] = {functional.layer_norm, functional.cross_entropy, torch.softmax, Tensor.softmax}


class Autocast(TorchFunctionMode):
    """Autocast as CUDA's dispatcher has it, which does not see fake tensors; attention and dropout as its
    kernels compute them. Weights are cast at every use, and not once for each context."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_autocast_enabled("cuda") and (func in HALF or func in FULL):
            dtype = torch.bfloat16 if func in HALF else torch.float32
            args, kwargs = tree_map(lambda one: _cast(one, dtype), (args, kwargs))
        if func is functional.scaled_dot_product_attention and isinstance(args[0], FakeTensor):
            return _attention(*args[:3], kwargs.get("dropout_p", 0.0))
        if func is functional.dropout and isinstance(args[0], FakeTensor):
            rate, training = (*args[1:], kwargs.get("p"), kwargs.get("training", True))[:2]
            return torch.native_dropout(args[0], rate, True)[0] if training and rate else args[0]
        return func(*args, **kwargs)


def _cast(one: Any, dtype: torch.dtype) -> Any:
    casts = isinstance(one, FakeTensor) and one.dtype in (torch.float32, torch.bfloat16)
    return one.to(dtype) if casts else one


def _attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Return attention by PyTorch's kernel: flash attention, in float32 the memory-efficient one."""
    if q.dtype == torch.bfloat16:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout)[0]
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True, dropout)[0]


@dataclass(slots=True)
class Row:
    """One kind of operator."""

    calls: int = 0
    bytes: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0


class Roofline(TorchDispatchMode):
    """Adds up what operators on the GPU move and compute, by name and dtype."""

    def __init__(self, peak: Peak) -> None:
        super().__init__()
        self.peak = peak
        self.rows: defaultdict[str, Row] = defaultdict(Row)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [one for one in tree_leaves((args, kwargs)) if isinstance(one, FakeTensor)]
        made = [one for one in tree_leaves(out) if isinstance(one, FakeTensor)]
        name = func.overloadpacket.__name__
        if not (read or made) or func.is_view or name in FREE:
            return out
        flops = flop_registry.get(func.overloadpacket)
        work = float(flops(*args, **(kwargs or {}), out_val=out)) if flops else 0.0
        moved = float(sum(map(_bytes, (*read, *made))))
        dtype = (made or read)[0].dtype
        rate = self.peak.products.get(dtype, self.peak.others)
        row = self.rows[f"{name}, {str(dtype).removeprefix('torch.')}"]
        row.calls += 1
        row.bytes += moved
        row.flops += work
        row.seconds += max(moved / self.peak.bandwidth, work / rate)
        return out


def _bytes(tensor: Tensor) -> int:
    """Return the bytes behind a tensor: of an expanded one those it holds."""
    entries = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        entries *= size if stride else 1
    return entries * tensor.element_size()


def float32_norm(self: LayerNorm, x: Tensor) -> Tensor:
    """Normalise in float32, as CUDA's autocast does by itself; the cast beforehand is an operator."""
    return functional.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)


@contextmanager
def fake_gpu(norms: str) -> Iterator[None]:
    """Within, ``cuda`` is there, and autocast too."""
    with ExitStack() as stack:
        stack.enter_context(patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False))
        stack.enter_context(patch("torch.cuda.is_bf16_supported", lambda *_: True))
        if norms == "float32":
            stack.enter_context(patch.object(LayerNorm, "forward", float32_norm))
        stack.enter_context(FakeCuda())
        stack.enter_context(Autocast())
        yield


def steps(sizes: dict[str, Any], batch: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is estimated: name, and the call, of which everything before has been called once."""
    examples, compute = pairs(2 * batch), Compute(CUDA, bfloat16=True, world=World())
    options = REGISTRY.options("teachers", "diffuseq", sizes, "teacher")
    teacher = REGISTRY.load("teachers", "diffuseq").build(options, examples).to(CUDA)
    table = {"steps": 1000, "batch": batch, "optimizer": {"lr": 1e-5}}
    pretraining = Pretraining(teacher, Pretrain.model_validate(table), examples, compute, 0)
    pretraining.advance(False)
    yield "pretraining step", lambda: pretraining.advance(False)
    stage = Stage.model_validate({**STAGE, "batch": batch})
    objectives = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
    rows = TokenizedExamples(teacher.space, examples)
    distillation = Distillation("stage-1", stage, teacher, objectives, rows, compute, 0)
    distillation.advance(False)
    yield "SiD + Diffusion-GAN iteration", lambda: distillation.advance(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", choices=PEAKS, default="H100 SXM")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--norms", choices=["input", "float32"], default="input", help="their precision")
    parser.add_argument("--rows", type=int, default=10, help="how many of the heaviest operators are printed")
    parser.add_argument("--tiny", action="store_true", help="a small network")
    args = parser.parse_args()
    peak = PEAKS[args.gpu]
    print(f"{args.gpu}, batch {args.batch}, layer normalisation in {args.norms}, torch {torch.__version__}")
    with fake_gpu(args.norms):
        for name, call in steps(TINY if args.tiny else PAPER, args.batch):
            with Roofline(peak) as roofline:
                call()
            report(name, roofline, args.rows)


def report(name: str, roofline: Roofline, count: int) -> None:
    rows = sorted(roofline.rows.items(), key=lambda pair: -pair[1].seconds)
    whole = Row(*(sum(getattr(row, part) for _, row in rows) for part in Row.__slots__))
    print(f"\n| {name} | calls | GB | TFLOP | ms |\n|---|---|---|---|---|")
    for kind, row in (("all", whole), *rows[:count]):
        figures = f"{row.bytes / 1e9:.1f} | {row.flops / 1e12:.2f} | {1000 * row.seconds:.1f}"
        print(f"| {kind} | {row.calls} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
