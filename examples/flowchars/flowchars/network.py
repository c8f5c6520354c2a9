"""The network: an MLP-Mixer (Tolstikhin et al. 2021) that predicts a velocity and answers with x0."""

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser, NoiseSchedule
from dlmone.core.prediction import to_x0

#: Frequencies that tell the network the time.
FREQUENCIES = 16


class Mixer(Denoiser):
    """Mixes patches, then channels, layer by layer.

    Args:
        schedule: turns v into x0, and times into what the network is told.
        patches: positions N of a state.
        entries: numbers E at each position.
        width: width H of the hidden states.
        layers: how many mixer layers.
    """

    def __init__(self, schedule: NoiseSchedule, *, patches: int, entries: int, width: int, layers: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.read_in = nn.Linear(entries, width)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU())
        self.layers = nn.ModuleList(MixerLayer(patches, width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, entries)

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, *, features: bool = False) -> Denoised:
        hidden_BNH = self.hidden(e_t, t_B)
        alpha_B, sigma_B = self.schedule.alpha(t_B), self.schedule.sigma(t_B)
        x0 = to_x0("flow", self.velocity(hidden_BNH), e_t, alpha_B, sigma_B)
        if not features:
            return Denoised(x0)
        return Denoised(x0, hidden_BNH, torch.ones_like(hidden_BNH[..., 0], dtype=torch.bool))

    def hidden(self, e_t: Tensor, t_B: Tensor) -> Tensor:
        """Return the last hidden states [B, N, H] of noisy states [B, N, E]."""
        h_BNH = self.read_in(e_t)
        time_BH = self.time(waves(self.schedule.network_time(t_B)))
        for layer in self.layers:
            h_BNH = layer(h_BNH, time_BH)
        return self.norm(h_BNH)

    def velocity(self, hidden_BNH: Tensor) -> Tensor:
        """Return the predicted ε − e, along which e_t moves as t grows, [B, N, E]."""
        return self.read_out(hidden_BNH).float()


class MixerLayer(nn.Module):
    """An MLP over positions and one over channels, each on a normalised input that the time modulates."""

    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 4 * width)
        self.position_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.channel_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.over_positions = mlp(patches, 4 * patches)
        self.over_channels = mlp(width, 2 * width)

    def forward(self, h_BNH: Tensor, time_BH: Tensor) -> Tensor:
        scale, shift, scale_2, shift_2 = self.modulation(time_BH)[:, None].chunk(4, dim=-1)
        h_BNH = h_BNH + self.over_positions((self.position_norm(h_BNH) * (1 + scale) + shift).mT).mT
        return h_BNH + self.over_channels(self.channel_norm(h_BNH) * (1 + scale_2) + shift_2)


def mlp(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def waves(time_B: Tensor) -> Tensor:
    """Return the cosines and sines of the first multiples of π·t, [B, 2·FREQUENCIES]."""
    angles = torch.pi * time_B[:, None] * torch.arange(1, FREQUENCIES + 1, device=time_B.device)
    return torch.cat([angles.cos(), angles.sin()], dim=1)
