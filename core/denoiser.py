"""The one call that φ, θ and ψ share: ê0 = f(e_t, t, c)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .space import Batch


@dataclass(frozen=True, slots=True)
class Denoised:
    """A denoiser's answer.

    Attributes:
        x0: the x0 prediction ê0, [B, *state_shape], float32 or better.
        features_BNH: the last hidden states, when asked for.
        feature_mask_BN: True at the features of generated entries; comes with the features.
        logits_BLV: scores of the tokens at each position, float32, from a network that predicts tokens.
    """

    x0: Tensor
    features_BNH: Tensor | None = None
    feature_mask_BN: Tensor | None = None
    logits_BLV: Tensor | None = None


class Denoiser(nn.Module, ABC):
    """A network that predicts the clean state. Whatever it predicts inside, it answers with x0."""

    #: Submodules that run outside autocast, whose weights must stay float32 when others are cast.
    float32_modules: tuple[str, ...] = ()
    #: Whether the network reads an earlier estimate of x0 (self-conditioning, Chen et al. 2023). Samplers
    #: hand ``previous`` on to such networks only, so that others need not know of it.
    self_conditioning: bool = False

    @abstractmethod
    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        """Predict the clean state from the noisy one, differentiably in ``e_t``.

        Args:
            e_t: noisy states [B, *state_shape] with given entries pinned.
            t_B: times of the space's schedule, [B].
            batch: the batch the states belong to (masks, and a condition where it is not in the state).
            features: also return the last hidden states, from the same pass.
            previous: an earlier estimate of x0, [B, *state_shape]; None stands for zeros. A network without
                self-conditioning ignores it.
        """

    def to_precision(self, dtype: torch.dtype) -> None:
        """Cast the linear weights that autocast would cast at every call; `float32_modules` stay."""
        kept = {part for name in self.float32_modules for part in self.get_submodule(name).modules()}
        for part in self.modules():
            if isinstance(part, nn.Linear) and part not in kept:
                part.to(dtype)

    def pack(self) -> None:
        """Keep the weights as the device reads them fastest. After this it only answers, without gradient."""
