"""Linear maps whose weights lie in memory as the processor's bfloat16 kernels read them.

oneDNN rearranges a plain weight at every call, which is a tenth of a single sample's forward pass. The sums
are the same to the last bit. `torch.compile` does this too when it freezes weights, for minutes of compiling.
"""

from typing import cast

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A frozen bfloat16 `nn.Linear` on the CPU, rearranged once; it knows no gradient and cannot be moved.

    Args:
        linear: what to compute.
        rows: how many rows most calls bring, for which the arrangement is chosen.
    """

    def __init__(self, linear: nn.Linear, rows: int) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return cast(
            Tensor,
            torch.ops.mkldnn._linear_pointwise(x.to(torch.bfloat16), self.packed, self.bias, "none", [], ""),
        )


def pack(network: nn.Module, rows: int) -> None:
    """Replace the bfloat16 linear maps inside a network, where PyTorch has the kernels for it."""
    if not _has_kernels():
        return
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear) and child.weight.dtype == torch.bfloat16 and child.weight.is_cpu:
                parent.register_module(name, PackedLinear(child, rows))


def _has_kernels() -> bool:
    """Tell whether PyTorch brings oneDNN with the calls that its own compiler makes."""
    calls = ("_reorder_linear_weight", "_linear_pointwise")
    here = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    built = here and all(hasattr(torch.ops.mkldnn, call) for call in calls)
    return built and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
