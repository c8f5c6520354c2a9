"""LangFlow's noise schedule: γ = log(σ²/α²) is Gumbel distributed, with location and scale that are learned.

Time is the quantile q of that distribution, so that uniform times are the training density. Large γ is
noise: γ is the *negative* log signal-to-noise ratio. All in float64; the official code computes γ in float32,
which lowers it by up to 0.0132·scale at the noisy end.
"""

import math

import torch
from torch import Tensor, nn

from dlmone.core import NoiseSchedule
from dlmone.core.transfer import on_host


class GumbelParameters(nn.Module):
    """Location and scale of γ, and the entropy that is lost from no noise to all noise (nats a token).

    The surrogate H(γ) = entropy·exp(−exp(−(γ − loc)/scale)) is fitted to the network's cross-entropy at γ.
    It is the distribution function of γ, so equal steps of q are equal amounts of information.
    """

    def __init__(self, loc: float, scale: float, entropy: float) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.tensor(float(loc)))
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.entropy = nn.Parameter(torch.tensor(float(entropy)))

    def surrogate_entropy(self, gamma: Tensor) -> Tensor:
        """Return H(γ), differentiable in the three parameters, of ``gamma``'s shape."""
        return self.entropy * torch.exp(-torch.exp(-(gamma - self.loc) / self.scale))

    def values(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return location and scale as float64 constants."""
        loc, scale = self.loc.detach(), self.scale.detach()
        if device.type == "cpu" and loc.device != device:
            loc, scale = on_host(self.loc), on_host(self.scale)
        return loc.to(device, torch.float64), scale.to(device, torch.float64)


class GumbelSchedule(NoiseSchedule):
    """α² = sigmoid(−γ), σ² = sigmoid(γ) with γ(q) = loc − scale·ln(−ln q), q in [cutoff, 1 − cutoff].

    Args:
        parameters: read at every call: a module of the space that owns them, so that optimizer, EMA and
            state dict have them.
        cutoff: how much of the distribution is left out at each end.
    """

    discrete = False

    def __init__(self, parameters: GumbelParameters, cutoff: float = 1e-5) -> None:
        self.parameters = parameters
        self.cutoff = cutoff
        self.min_time, self.max_time = cutoff, 1 - cutoff

    def gamma(self, t: Tensor) -> Tensor:
        """Return γ(q), float64. It ends at loc − scale·ln(−ln c) and loc − scale·ln c, for c the cutoff."""
        loc, scale = self.parameters.values(t.device)
        least, most = -math.log(-math.log(self.cutoff)), -math.log(self.cutoff)
        return loc + scale * (-torch.log(-torch.log(t.double()))).clamp(least, most)

    def time_of_gamma(self, gamma: Tensor) -> Tensor:
        """Return q = exp(−exp(−(γ − loc)/scale)), the inverse of `gamma`, float64."""
        loc, scale = self.parameters.values(gamma.device)
        return torch.exp(-torch.exp(-(gamma.double() - loc) / scale))

    def log_density(self, gamma: Tensor) -> Tensor:
        """Return log p(γ) = −y − e^(−y) − ln scale with y = (γ − loc)/scale, float64."""
        loc, scale = self.parameters.values(gamma.device)
        y = (gamma.double() - loc) / scale
        return -y - torch.exp(-y) - torch.log(scale)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sigmoid(-self.gamma(t)).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sigmoid(self.gamma(t)).sqrt()

    def ratio(self, t: Tensor) -> Tensor:
        return torch.exp(self.gamma(t) / 2)

    def time_of_ratio(self, ratio: float) -> float:
        return float(self.time_of_gamma(torch.tensor(2 * math.log(ratio), dtype=torch.float64)))

    def network_time(self, t: Tensor) -> Tensor:
        return self.gamma(t).float()
