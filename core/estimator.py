"""The score estimator ψ: the generator's score, and the discriminator, from one network (section 3.2)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .denoiser import Denoiser
from .errors import InputError
from .space import Batch


@dataclass(frozen=True, slots=True)
class Estimate:
    """ψ's answer: x0 prediction ê_ψ [B, *state_shape], and discriminator logits [B, K] when asked for."""

    x0: Tensor
    logits_BK: Tensor | None = None


class ScoreEstimator(nn.Module, ABC):
    """Denoises the generator's noised outputs and, in the same pass, tells real from generated."""

    @abstractmethod
    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, *, logits: bool = False) -> Estimate:
        """Return ê_ψ(e_t, t, c) and, when asked, D_ψ(e_t, t, c) from the same pass."""


class TokenMean(nn.Module):
    """Masked mean over generated positions; each channel is a logit. No parameters (SiD-DiT's default)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
        return masked_token_mean(features_BNH, mask_BN)


class LinearHead(nn.Module):
    """A linear map of the masked token mean to one logit, started at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
        pooled: Tensor = self.linear(masked_token_mean(features_BNH, mask_BN))
        return pooled


def masked_token_mean(features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
    """Mean of the features at generated positions, [B, H]."""
    mask = mask_BN[..., None].to(features_BNH.dtype)
    return (features_BNH * mask).sum(1) / mask.sum(1).clamp(min=1)


HEADS: dict[str, Callable[[int], nn.Module]] = {
    "token_mean": TokenMean,
    "linear": LinearHead,
}


class DiffusionScoreEstimator(ScoreEstimator):
    """ψ as a denoiser of the teacher's shape with a discriminator head on its last hidden states."""

    def __init__(self, network: Denoiser, feature_width: int, head: str = "token_mean") -> None:
        super().__init__()
        if head not in HEADS:
            raise InputError(f"there is no discriminator head {head!r}; there are {', '.join(HEADS)}")
        self.network = network
        self.head = HEADS[head](feature_width)

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, *, logits: bool = False) -> Estimate:
        answer = self.network.denoise(e_t, t_B, batch, features=logits)
        if not logits:
            return Estimate(answer.x0)
        assert answer.features_BNH is not None
        # The head works in float32 or better, whatever autocast makes of the features.
        features_BNH = answer.features_BNH.to(torch.promote_types(answer.features_BNH.dtype, torch.float32))
        with torch.autocast(features_BNH.device.type, enabled=False):
            return Estimate(answer.x0, self.head(features_BNH, answer.feature_mask_BN))
