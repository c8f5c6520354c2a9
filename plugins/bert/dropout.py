"""Dropout with cheap random bits on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: 16-bit random numbers in a 64-bit word.
DRAWS = 4
LEVELS = 1 << 16


class Dropout(nn.Module):
    """Dropout; on the CPU its rate is rounded to 1/65536.

    On the CPU PyTorch draws one Bernoulli variable at a time, which took an eighth of DiffuSeq's training
    step. Cutting 64-bit words in four takes a quarter of that. Both read torch's global generator, as what
    `torch.compile` makes of PyTorch's own does.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return functional.dropout(x, self.rate)
        dropped = round(self.rate * LEVELS)
        kept = draws(x.numel()).view(x.shape) >= dropped - LEVELS // 2
        return x * (kept * x.new_tensor(LEVELS / (LEVELS - dropped)))


def draws(count: int) -> Tensor:
    """Return ``count`` independent uniform 16-bit integers, [count] int16."""
    words = torch.empty(-(-count // DRAWS), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.int16)[:count]
