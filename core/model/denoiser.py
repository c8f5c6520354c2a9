"""Define the call that φ, θ and ψ share: ê0 = f(e_t, t, c)."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .space import Batch, Space


@dataclass(frozen=True, slots=True)
class Denoised:
    """A denoiser's output.

    Attributes:
        x0: the x0 prediction ê0, [B, *state_shape], float32 or better.
        features_BNH: the last hidden states, if requested.
        feature_mask_BN: True at the features of generated entries; present with the features.
        layers: the hidden states of other requested layers, [B, N, H] each.
        logits_BLV: scores of the tokens at each position, float32, from a network that predicts tokens.
    """

    x0: Tensor
    features_BNH: Tensor | None = None
    feature_mask_BN: Tensor | None = None
    logits_BLV: Tensor | None = None
    layers: Mapping[int, Tensor] = field(default_factory=dict)

    def features(self, layer: int = -1) -> tuple[Tensor, Tensor]:
        """Return the hidden states [B, N, H] of a requested layer, and their mask [B, N]."""
        hidden_BNH = self.features_BNH if layer == -1 else self.layers.get(layer)
        assert hidden_BNH is not None, f"the features of layer {layer} were not asked for"
        assert self.feature_mask_BN is not None
        return hidden_BNH, self.feature_mask_BN

    def detach(self) -> "Denoised":
        """Return the same without gradient."""
        features_BNH, logits_BLV = self.features_BNH, self.logits_BLV
        return Denoised(
            self.x0.detach(),
            None if features_BNH is None else features_BNH.detach(),
            self.feature_mask_BN,
            None if logits_BLV is None else logits_BLV.detach(),
            {layer: hidden.detach() for layer, hidden in self.layers.items()},
        )


def temperature_of(network: nn.Module, temperature: float) -> dict[str, float]:
    """Return the keyword of `Denoiser.denoise` for a temperature; none for 1, which is no change.

    Raises:
        InputError: the network has no token probabilities.
    """
    if temperature == 1.0:
        return {}
    if not getattr(network, "takes_temperature", False):
        name = type(network).__name__
        raise InputError(f"temperature: {name} predicts states, not the probabilities of tokens, so give 1")
    return {"temperature": temperature}


def copy_network(network: "Denoiser", space: Space) -> "Denoiser":
    """Return a copy of a network; weights that it shares with its space (an embedding table) stay shared."""
    shared: dict[int, Any] = {id(module): module for module in space.modules()}
    shared |= {id(tensor): tensor for tensor in (*space.parameters(), *space.buffers())}
    return copy.deepcopy(network, shared)


class Denoiser(nn.Module, ABC):
    """A network that predicts the clean state. Whatever its parametrisation, it returns x0."""

    #: Submodules that run outside autocast; their weights stay float32 when others are cast.
    float32_modules: tuple[str, ...] = ()
    #: Whether the network reads an earlier estimate of x0 (self-conditioning, Chen et al. 2023). Samplers
    #: pass ``previous`` to such networks only, so that others can ignore it.
    self_conditioning: bool = False
    #: Whether the network takes the guidance scale as an input; others are guided by two calls.
    takes_guidance: bool = False
    #: Whether x0 is a mean over token probabilities, which take a ``temperature``; others are not passed one.
    takes_temperature: bool = False
    #: Whether the network takes a second time ``s_B``; others are not passed one.
    second_time: bool = False
    #: Network passes that `evaluate` makes.
    passes: int = 1

    @abstractmethod
    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, *args: Any, **wanted: Any) -> Denoised:
        """Predict the clean state from the noisy one, differentiably in ``e_t``.

        Args:
            e_t: noisy states [B, *state_shape] with given entries pinned.
            t_B: times of the space's schedule, [B].
            batch: the batch the states belong to (masks, and a condition where it is not in the state).
            args: none.
            wanted: any of the following, by keyword. Only requested ones are passed, so a network need not
                accept the others.

        Keywords:
            features: bool, also return the last hidden states, from the same pass.
            layers: tuple of int, also return the hidden states of these layers, counted from the first, 0.
            tokens: bool, also return logits over tokens.
            previous: an earlier estimate of x0, [B, *state_shape]; None stands for zeros. A network without
                self-conditioning ignores it.
            guidance: the scale κ, for networks that take it.
            temperature: τ of x0 = softmax(logits/τ)·E, for networks that take it; 1 is the posterior mean.
            s_B: a second time, for networks that take one (flow maps); None stands for ``t_B``.
        """

    def forward(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """`denoise`, as a module's call, which `nn.Module.compile` compiles."""
        return self.denoise(e_t, t_B, batch, **wanted)

    def repeated(self) -> Iterable[nn.Module]:
        """Return the modules that repeat and do most of the work: those of the largest `nn.ModuleList`."""
        lists = [part for part in self.modules() if isinstance(part, nn.ModuleList)]
        return max(lists, key=lambda part: sum(one.numel() for one in part.parameters()), default=())

    def evaluate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """Predict x0 at a state without a previous estimate, as in training.

        A network trained with two-pass self-conditioning runs both here and sets ``passes`` to 2.
        """
        return self.denoise(e_t, t_B, batch, **wanted)

    def decode(self, state: Tensor, batch: Batch, space: Space) -> tuple[Tensor, int]:
        """Return the token ids [B, L] that final states stand for, and the network calls this took.

        Most spaces need no network for it. One that reads the tokens itself overrides this.
        """
        return space.decode(state, batch), 0

    def add_second_time(self) -> None:
        """Let the network take a second time, by an embedding of it that starts at zero; idempotent.

        Predictions stay as they are until it is trained. The parameters that it adds belong to the network.

        Raises:
            InputError: this kind of network takes none.
        """
        raise InputError(f"{type(self).__name__} takes no second time, which a flow map needs")

    def to_precision(self, dtype: torch.dtype) -> None:
        """Cast the linear weights that autocast would cast at every call; `float32_modules` stay."""
        kept = {part for name in self.float32_modules for part in self.get_submodule(name).modules()}
        for part in self.modules():
            if isinstance(part, nn.Linear) and part not in kept:
                part.to(dtype)

    def pack(self) -> None:
        """Store the weights in the device's fastest layout. Inference without gradient only afterwards."""
