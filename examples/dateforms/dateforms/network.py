"""The denoiser: a decoder that attends to the encoded source, and reads its own earlier estimate."""

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser

from .space import TARGET, DateSpace


class Decoder(Denoiser):
    """Predicts token logits; x0 = softmax(logits)·rows.

    Args:
        space: its rows and its schedule are shared with the network.
        width: width H of the hidden states.
        heads: attention heads.
        layers: how many.
    """

    self_conditioning = True

    def __init__(self, space: DateSpace, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.space = space
        _, state = space.state_shape
        self.read_in = nn.Linear(2 * state, width)
        self.places = nn.Parameter(0.1 * torch.randn(TARGET, width))
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(space.words)))

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
    ) -> Denoised:
        hidden = self.hidden(e_t, t_B, batch, previous)
        logits_BTV = self.head(hidden[-1]).float()
        wanted = bool(features or layers)
        return Denoised(
            self.space.mixture(logits_BTV.softmax(-1)),
            hidden[-1] if wanted else None,
            batch.target_BL[:, -TARGET:] if wanted else None,
            logits_BTV if tokens else None,
            {layer: hidden[layer] for layer in layers},
        )

    def hidden(self, e_t: Tensor, t_B: Tensor, batch: Batch, previous: Tensor | None) -> list[Tensor]:
        """Return what each layer gives, [B, TARGET, H] each."""
        earlier = torch.zeros_like(e_t) if previous is None else previous.to(e_t.dtype)
        time_BH = self.level(self.waves(self.space.schedule.network_time(t_B)))
        h_BTH = self.read_in(torch.cat([e_t, earlier], -1)) + self.places + time_BH[:, None]
        hidden = []
        for layer in self.layers:
            h_BTH = layer(h_BTH, batch.encoded["source"])
            hidden.append(h_BTH)
        return hidden

    def waves(self, gamma_B: Tensor) -> Tensor:
        """Return cosines and sines of the noise level, [B, H]."""
        half = self.places.shape[1] // 2
        angles = gamma_B[:, None] * torch.arange(1, half + 1, device=gamma_B.device) * (torch.pi / 16)
        return torch.cat([angles.cos(), angles.sin()], 1)
