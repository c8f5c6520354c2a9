"""Wrap a denoiser and record its calls."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlmone.core import Batch, Denoised, Denoiser


@dataclass(frozen=True, slots=True)
class Call:
    """One network call.

    Attributes:
        e_t, t_B, batch, features, previous: the arguments.
        graph: whether the answer could pass gradient on to ``e_t``.
    """

    e_t: Tensor
    t_B: Tensor
    batch: Batch
    features: bool
    graph: bool
    previous: Tensor | None = None


class Watched(Denoiser):
    """``network``, with its calls counted in ``calls``."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network
        self.self_conditioning = network.self_conditioning
        self.second_time = network.second_time
        self.calls: list[Call] = []

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        graph = torch.is_grad_enabled() and e_t.requires_grad
        features, previous = bool(wanted.get("features")), wanted.get("previous")
        self.calls.append(Call(e_t.detach().clone(), t_B, batch, features, graph, previous))
        return self.network.denoise(e_t, t_B, batch, **wanted)
