"""Linear maps with weights in the memory layout of the processor's bfloat16 kernels.

oneDNN rearranges a plain weight at every call, which takes a tenth of a single sample's forward pass. Results
are the same to the last bit. `torch.compile` does the same when it freezes weights, but compiles for minutes.
"""

from typing import cast

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A frozen bfloat16 `nn.Linear` on the CPU, rearranged once; it has no gradient and cannot be moved.

    Args:
        linear: the linear map.
        rows: the usual number of input rows, for which the layout is optimised.
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
    """Tell whether this PyTorch has oneDNN and the calls that its own compiler makes."""
    calls = ("_reorder_linear_weight", "_linear_pointwise")
    here = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    built = here and all(hasattr(torch.ops.mkldnn, call) for call in calls)
    return built and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
