"""DiffuSeq's denoiser: a BERT encoder between two small projections, with a sinusoidal time embedding.

No attention mask, no segment embedding, no self-conditioning: condition and padding positions attend and
are attended to. Submodules have the official names, so that the state dicts of this network and of
`DiffuSeqSpace` together have the keys of an official checkpoint.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Denoised, Denoiser, NoiseSchedule
from dlmone.plugins.bert.dropout import Dropout
from dlmone.plugins.bert.encoder import LAYER_NORM_EPS, Encoder
from dlmone.plugins.bert.norm import LayerNorm

from .packed import pack

#: Positions of one sample of the released models, for which packed weights are arranged.
TYPICAL_LENGTH = 128


class DiffuSeqNetwork(Denoiser):
    """f(e_t, t, c): predicts x0 from e_t, in which the condition is pinned (Gong et al. 2023, section 3).

    Args:
        schedule: maps a time to the network's time input.
        hidden_dim: width of the embeddings that are diffused.
        hidden_t_dim: width of the sinusoidal time embedding.
        width, layers, heads, feedforward: the encoder's sizes.
        dropout: rate after the input and after both halves of each layer.
        attention_dropout: rate on the attention weights.
        max_positions: the longest sequence.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        *,
        hidden_dim: int,
        hidden_t_dim: int,
        width: int,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        max_positions: int = 512,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.hidden_t_dim = hidden_t_dim
        self.time_embed = nn.Sequential(
            nn.Linear(hidden_t_dim, 4 * hidden_t_dim), nn.SiLU(), nn.Linear(4 * hidden_t_dim, width)
        )
        # An encoder as wide as the embeddings reads and writes them directly.
        self.input_up_proj = projection(hidden_dim, width, width) if hidden_dim != width else None
        self.input_transformers = Encoder(layers, width, heads, feedforward, dropout, attention_dropout)
        self.position_embeddings = nn.Embedding(max_positions, width)
        self.LayerNorm = LayerNorm(width, LAYER_NORM_EPS)
        self.dropout = Dropout(dropout)
        self.output_down_proj = projection(width, width, hidden_dim) if hidden_dim != width else None
        last = () if self.output_down_proj is None else ("output_down_proj.2",)
        self.float32_modules = ("time_embed", *last)

    def add_second_time(self) -> None:
        """Add an embedding of the second time: the first one's, with its last layer at zero."""
        if self.second_time:
            return
        self.second_time = True
        self.second_time_embed = copy.deepcopy(self.time_embed)
        for parameter in self.second_time_embed[-1].parameters():
            nn.init.zeros_(parameter)
        self.float32_modules = (*self.float32_modules, "second_time_embed")

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        layers: tuple[int, ...] = (),
        previous: Tensor | None = None,
        s_B: Tensor | None = None,
    ) -> Denoised:
        input_BLH, encoder = self.encoder_input(e_t, t_B, s_B), self.input_transformers
        # Every layer's states are held only where some are asked for.
        hidden = encoder.hidden(input_BLH) if layers else [encoder(input_BLH)]
        x0_BLD = self.read_out(hidden[-1])
        if not (features or layers):
            return Denoised(x0_BLD)
        chosen = {layer: hidden[layer] for layer in layers}
        return Denoised(x0_BLD, hidden[-1], batch.target_BL, layers=chosen)

    def pack(self) -> None:
        pack(self, rows=TYPICAL_LENGTH)

    def encoder_input(self, e_BLD: Tensor, t_B: Tensor, s_B: Tensor | None = None) -> Tensor:
        """Dropout(LayerNorm(position + up(e) + time)), [B, L, H], in the precision the encoder works in.

        A second time, t_B if None, adds its own embedding where the network has one.
        """
        h_BLH = e_BLD if self.input_up_proj is None else self.input_up_proj(e_BLD)
        position_LH = self.position_embeddings.weight[: e_BLD.shape[1]]
        time_BH = self.embed_time(t_B, self.time_embed)
        if self.second_time:
            time_BH = time_BH + self.embed_time(t_B if s_B is None else s_B, self.second_time_embed)
        h_BLH = self.LayerNorm(h_BLH + (position_LH + time_BH[:, None]))
        # One cast here keeps the whole residual stream in half precision under autocast.
        input_BLH: Tensor = self.dropout(h_BLH.to(working_dtype(e_BLD)))
        return input_BLH

    def embed_time(self, t_B: Tensor, embed: nn.Module) -> Tensor:
        """Return the embedding [B, H] of times, [1, H] of one for the whole batch (`NoiseSchedule.tensor`).

        It is computed once per sample, so float32 costs nothing. A time that the batch shares is embedded
        once, so that the result does not depend on the batch size: a product with few rows is summed in
        another order than one with many.
        """
        t_B = t_B if t_B.stride(0) else t_B[:1]
        with torch.autocast(t_B.device.type, enabled=False):
            time_BH: Tensor = embed(sinusoid(self.schedule.network_time(t_B), self.hidden_t_dim))
        return time_BH

    def read_out(self, hidden_BLH: Tensor) -> Tensor:
        """Project the last hidden state to x0 in float32.

        The last map runs without autocast: it is cheap, and rounding states to half precision would bring
        that error into every sampler and loss.
        """
        if self.output_down_proj is None:
            return hidden_BLH.float()
        dense, tanh, last = self.output_down_proj
        inner_BLH = tanh(dense(hidden_BLH))
        with torch.autocast(hidden_BLH.device.type, enabled=False):
            x0_BLD: Tensor = last(inner_BLH.float())
        return x0_BLD


def projection(inputs: int, inner: int, outputs: int) -> nn.Sequential:
    """Linear, tanh, Linear."""
    return nn.Sequential(nn.Linear(inputs, inner), nn.Tanh(), nn.Linear(inner, outputs))


def sinusoid(times_B: Tensor, width: int, period: float = 10_000.0) -> Tensor:
    """Return [cos(t·f), sin(t·f)] with f_j = period^(−2j/width), [B, width] float32; odd widths end in 0."""
    half = width // 2
    frequencies = torch.exp(
        -math.log(period) * torch.arange(half, dtype=torch.float32, device=times_B.device) / half
    )
    angles = times_B[:, None].float() * frequencies
    return functional.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, width % 2))


def working_dtype(x: Tensor) -> torch.dtype:
    """Return the precision that matrix products on ``x`` run in."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
