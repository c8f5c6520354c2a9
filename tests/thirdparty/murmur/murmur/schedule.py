"""A noise schedule whose two parameters are learned: γ = log(σ²/α²) is logistic, and time its quantile."""

import math

import torch
from torch import Tensor, nn

from dlmone.core import NoiseSchedule


class LogisticSchedule(nn.Module, NoiseSchedule):
    """γ(t) = loc + scale·logit(t), α² = sigmoid(−γ) and σ² = sigmoid(γ), for t in [0.01, 0.99].

    Uniform times then are evenly spread where the loss rises fastest, once `expected_loss` fits it.
    """

    discrete = False
    min_time, max_time = 0.01, 0.99

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.log_height = nn.Parameter(torch.zeros(()))

    def expected_loss(self, gamma_B: Tensor) -> Tensor:
        """Return height·sigmoid((γ − loc)/scale), differentiable in the three parameters, [B]."""
        quantile_B = torch.sigmoid((gamma_B - self.loc) / self.log_scale.exp())
        return self.log_height.exp() * quantile_B

    def gamma(self, t: Tensor) -> Tensor:
        loc, scale = self.loc.detach().double(), self.log_scale.detach().double().exp()
        return loc + scale * torch.logit(t.double())

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sigmoid(-self.gamma(t)).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sigmoid(self.gamma(t)).sqrt()

    def time_of_ratio(self, ratio: float) -> float:
        loc, scale = float(self.loc.detach()), math.exp(float(self.log_scale.detach()))
        return 1 / (1 + math.exp((loc - 2 * math.log(ratio)) / scale))

    def network_time(self, t: Tensor) -> Tensor:
        return self.gamma(t).float()
