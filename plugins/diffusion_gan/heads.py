"""Discriminator heads: from ψ's hidden states at generated positions to logits."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlmone.core import Denoised


def masked_token_mean(features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the mean of the features at generated positions, [B, H]."""
    mask = mask_BN[..., None].to(features_BNH.dtype)
    return (features_BNH * mask).sum(1) / mask.sum(1).clamp(min=1)


class TokenMean(nn.Module):
    """Masked mean over generated positions; each channel is a logit. No parameters (SiD-DiT's default)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
        return masked_token_mean(features_BNH, mask_BN)


class LinearHead(nn.Module):
    """A linear map of the masked token mean to one logit, initialised at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features_BNH: Tensor, mask_BN: Tensor) -> Tensor:
        pooled: Tensor = self.linear(masked_token_mean(features_BNH, mask_BN))
        return pooled


HEADS: dict[str, Callable[[int], nn.Module]] = {"token_mean": TokenMean, "linear": LinearHead}


def logits_of(head: nn.Module, answer: Denoised, layer: int) -> Tensor:
    """Return D's logits [B, K], in float32 or better even under autocast."""
    features_BNH, mask_BN = answer.features(layer)
    features_BNH = features_BNH.to(torch.promote_types(features_BNH.dtype, torch.float32))
    with torch.autocast(features_BNH.device.type, enabled=False):
        logits_BK: Tensor = head(features_BNH, mask_BN)
    return logits_BK
