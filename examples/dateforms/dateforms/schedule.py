"""A noise schedule that is learned: time is the share of the loss that lies below a noise level (CDCD)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import NoiseSchedule

#: γ = log(σ²/α²) goes from no noise to noise alone, in bins that a line each is fitted to.
LOW, HIGH, BINS = -8.0, 8.0, 32


class LearnedSchedule(nn.Module, NoiseSchedule):
    """γ(t) is the inverse of a distribution function F, fitted to the loss (Dieleman et al. 2022).

    F is piecewise linear, and the expected loss at γ is height·F(γ). Times that are uniform in t then lie
    where the loss rises, and each step of a sampler removes as much uncertainty as any other.
    α² = sigmoid(−γ) and σ² = sigmoid(γ).
    """

    discrete = False
    min_time, max_time = 0.0, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.bins = nn.Parameter(torch.zeros(BINS))
        self.log_height = nn.Parameter(torch.zeros(()))

    def distribution(self) -> Tensor:
        """Return F at the bins' edges, [BINS + 1], from 0 to 1; no bin is emptier than 1/1000."""
        share_K = 0.999 * functional.softmax(self.bins, 0) + 0.001 / BINS
        return functional.pad(share_K.cumsum(0), (1, 0))

    def expected_loss(self, gamma_B: Tensor) -> Tensor:
        """Return height·F(γ), differentiable in the schedule's parameters, [B]."""
        place_B = ((gamma_B - LOW) / (HIGH - LOW) * BINS).clamp(0, BINS - 1e-4)
        low_B, edge_K = place_B.long(), self.distribution()
        return self.log_height.exp() * torch.lerp(edge_K[low_B], edge_K[low_B + 1], place_B - low_B)

    def gamma(self, t: Tensor) -> Tensor:
        """Return F's inverse at t, float64, of ``t``'s shape."""
        edge_K = self.distribution().detach().double()
        edge_K[-1] = 1.0
        above = torch.searchsorted(edge_K, t.double().contiguous(), right=True).clamp(1, BINS)
        low, high = edge_K[above - 1], edge_K[above]
        return LOW + (HIGH - LOW) * (above - 1 + (t.double() - low) / (high - low)) / BINS

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sigmoid(-self.gamma(t)).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sigmoid(self.gamma(t)).sqrt()

    def time_of_ratio(self, ratio: float) -> float:
        gamma = 2 * torch.tensor(ratio, dtype=torch.float64).log()
        return float(self.expected_loss(gamma.float()).detach() / self.log_height.detach().exp())

    def network_time(self, t: Tensor) -> Tensor:
        return self.gamma(t).float()
