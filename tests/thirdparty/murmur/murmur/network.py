"""The denoiser: gated convolutions that read noise level, guidance scale and their own earlier estimate."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser

from .space import ContextSpace


class ConvDenoiser(Denoiser):
    """Predicts token logits; x0 is the embedding of their mean row.

    Args:
        space: gives schedule, rows and the neighbours' layer, which the network shares.
        hidden: width H of the layers.
        layers: how many.
    """

    self_conditioning = True
    takes_guidance = True
    passes = 2

    def __init__(self, space: ContextSpace, hidden: int, layers: int) -> None:
        super().__init__()
        self.space = space
        _, width = space.state_shape
        self.read_in = nn.Linear(2 * width + 1, hidden)
        self.level = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.layers = nn.ModuleList(nn.Conv1d(hidden, 2 * hidden, 5, padding=2) for _ in range(layers))
        self.summaries = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.head = nn.Linear(hidden, len(space.words))

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        layers: tuple[int, ...] = (),
        tokens: bool = False,
        previous: Tensor | None = None,
        guidance: float | Tensor = 1.0,
        **_: Any,
    ) -> Denoised:
        hidden = self.hidden(e_t, t_B, batch, previous, guidance)
        logits_BLV = self.head(hidden[-1]).float()
        rows_BLD = logits_BLV.softmax(-1) @ self.space.rows().float()
        x0 = rows_BLD + self.space.context * self.space.moved(rows_BLD).float()
        wanted = features or bool(layers)
        return Denoised(
            x0.float(),
            hidden[-1] if wanted else None,
            batch.target_BL if wanted else None,
            logits_BLV if tokens else None,
            {layer: hidden[layer] for layer in layers},
        )

    def evaluate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """Predict from the estimate of a first pass, without gradient: half the samples are trained so."""
        guidance = {"guidance": wanted["guidance"]} if "guidance" in wanted else {}
        with torch.no_grad():
            previous = self.denoise(e_t, t_B, batch, **guidance).x0
        return self.denoise(e_t, t_B, batch, previous=previous, **wanted)

    def hidden(
        self, e_t: Tensor, t_B: Tensor, batch: Batch, previous: Tensor | None, guidance: float | Tensor
    ) -> list[Tensor]:
        """Return what each layer gives, [B, L, H] each."""
        earlier = torch.zeros_like(e_t) if previous is None else previous
        given_BL1 = ~batch.target_BL[..., None]
        h_BLH = self.read_in(torch.cat([e_t, earlier.to(e_t.dtype), given_BL1.to(e_t.dtype)], -1))
        gamma_B = self.space.schedule.network_time(t_B)
        scale_B = torch.as_tensor(guidance, dtype=gamma_B.dtype, device=gamma_B.device).expand_as(gamma_B)
        h_BLH = h_BLH + self.level(torch.stack([gamma_B / 4, scale_B.log()], 1))[:, None]
        hidden = []
        for layer, summary in zip(self.layers, self.summaries, strict=True):
            value_BLH, gate_BLH = layer(h_BLH.mT).mT.chunk(2, -1)
            h_BLH = (h_BLH + value_BLH * torch.sigmoid(gate_BLH)) / math.sqrt(2)
            h_BLH = h_BLH + summary(h_BLH.mean(1, keepdim=True))
            hidden.append(h_BLH)
        return hidden
