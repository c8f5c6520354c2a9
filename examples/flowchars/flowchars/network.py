"""The network: an MLP-Mixer (Tolstikhin et al. 2021) that predicts a velocity and answers with x0."""

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser, NoiseSchedule
from dlmone.core.model.prediction import to_x0

#: Number of cosines, and of sines, in the time embedding.
WAVES = 16


class Mixer(Denoiser):
    """Mix words, then channels, layer after layer, without attention.

    Args:
        schedule: converts velocities to x0, and times to the network's time input.
        words: positions W of a state.
        entries: numbers E at a position.
        width: width H of the hidden states.
        layers: number of mixer layers.
    """

    def __init__(self, schedule: NoiseSchedule, words: int, entries: int, width: int, layers: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.time = nn.Sequential(nn.Linear(2 * WAVES, width), nn.SiLU())
        self.read_in = nn.Linear(entries, width)
        self.layers = nn.ModuleList(MixerLayer(words, width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, entries)

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        hidden_BWH = self.hidden(e_t, t_B)
        alpha_B, sigma_B = self.schedule.alpha(t_B), self.schedule.sigma(t_B)
        x0 = to_x0("flow", self.velocity(hidden_BWH), e_t, alpha_B, sigma_B)
        if not features:
            return Denoised(x0)
        return Denoised(x0, hidden_BWH, torch.ones_like(hidden_BWH[..., 0], dtype=torch.bool))

    def hidden(self, e_t: Tensor, t_B: Tensor) -> Tensor:
        """Return the last hidden states [B, W, H] of noisy states [B, W, E]."""
        time_BH = self.time(waves(self.schedule.network_time(t_B)))
        h_BWH = self.read_in(e_t)
        for layer in self.layers:
            h_BWH = layer(h_BWH, time_BH)
        return self.norm(h_BWH)

    def velocity(self, hidden_BWH: Tensor) -> Tensor:
        """Return the prediction of ε − e, the direction in which e_t moves as t grows: [B, W, E]."""
        return self.read_out(hidden_BWH).float()


class MixerLayer(nn.Module):
    """An MLP across words and one across channels."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.norm_words, self.norm_channels = TimedNorm(width), TimedNorm(width)
        self.mix_words, self.mix_channels = mlp(words, 4 * words), mlp(width, 2 * width)

    def forward(self, h_BWH: Tensor, time_BH: Tensor) -> Tensor:
        h_BWH = h_BWH + self.mix_words(self.norm_words(h_BWH, time_BH).mT).mT
        return h_BWH + self.mix_channels(self.norm_channels(h_BWH, time_BH))


class TimedNorm(nn.Module):
    """LayerNorm with a scale and a shift that depend on the time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)

    def forward(self, h_BWH: Tensor, time_BH: Tensor) -> Tensor:
        scale_B1H, shift_B1H = self.modulation(time_BH)[:, None].chunk(2, dim=-1)
        return self.norm(h_BWH) * (1 + scale_B1H) + shift_B1H


def mlp(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def waves(time_B: Tensor) -> Tensor:
    """Return cos(π·k·t) and sin(π·k·t) for k from 1 to WAVES, [B, 2·WAVES]."""
    angles = torch.pi * time_B[:, None] * torch.arange(1, WAVES + 1, device=time_B.device)
    return torch.cat([angles.cos(), angles.sin()], dim=1)
