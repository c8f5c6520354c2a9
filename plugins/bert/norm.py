"""Layer normalisation in the precision of its input."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Kinds of device whose kernel takes float32 weights beside an input in half precision.
MIXED = frozenset({"cpu"})


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` whose result has its input's dtype, under autocast too, on every device.

    CUDA's autocast returns float32, which the next product casts again: the residual stream then is float32,
    and takes twice the memory and traffic. In half precision PyTorch's kernels still add up in float32, and
    keep mean and standard deviation in it. Rounded are the sum that is normalised, the result, and on CUDA
    the weights.

    That is safe where each layer normalises the stream itself, as in BERT: its size stays that of its parts.
    Where layers add to a stream that is normalised only on the way into them, keep the stream float32, and
    this is float32 too: it grows, and what late layers add would be lost beside it.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor | None = self.weight
        bias: Tensor | None = self.bias
        if x.device.type not in MIXED:
            weight, bias = (None if one is None else one.to(x.dtype) for one in (weight, bias))
        with torch.autocast(x.device.type, enabled=False):
            return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)
