"""Dropout whose random bits cost little on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Random words hold four 16-bit draws each.
DRAWS = 4
LEVELS = 1 << 16


class Dropout(nn.Module):
    """Dropout, to the nearest 1/65536 of its rate on the CPU.

    PyTorch draws one Bernoulli variable at a time there, which took an eighth of DiffuSeq's training step;
    cutting 64-bit words in four takes a quarter of that. It reads torch's global generator as well.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        dropped = round(self.rate * LEVELS)
        kept = draws(x.numel()).view(x.shape) >= dropped - LEVELS // 2
        return x * (kept * x.new_tensor(LEVELS / (LEVELS - dropped)))


def draws(count: int) -> Tensor:
    """Return ``count`` independent uniform draws from all 16-bit integers, [count] int16."""
    words = torch.empty(-(-count // DRAWS), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.int16)[:count]
