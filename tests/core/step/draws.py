"""States, predictions and masks that the losses are tested on."""

import torch
from hypothesis import strategies as st

from dlmone.core.model.schedule import discrete_schedule

SQRT = discrete_schedule("sqrt", 2000)
TIMES = torch.tensor([0, 400, 1490, 1975])
ALPHA, SIGMA = SQRT.alpha(TIMES), SQRT.sigma(TIMES)
SHAPE = (4, 6, 3)

seeds = st.integers(0, 2**32 - 1)
mus = st.floats(-0.5, 1.5)


class Draw:
    """e, f_φ, f_ψ and a mask in which every sample generates something, from a seed."""

    def __init__(self, seed: int) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.e, self.f_phi, self.f_psi = (
            torch.randn(SHAPE, generator=draws, dtype=torch.float64) for _ in range(3)
        )
        self.mask = torch.rand(*SHAPE[:2], 1, generator=draws) < 0.5
        self.mask[:, -1] = True
