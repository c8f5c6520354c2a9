"""The baseline of the speed claims: DiffuSeq from transformers' BERT encoder and the official formulas.

Eager float32, every array in memory, nothing tuned: what a straightforward re-implementation does.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEncoder


class ReferenceDiffuSeq(nn.Module):
    """The released configuration by default: 91,225,274 parameters with the tied weight counted once."""

    def __init__(
        self, vocab: int = 30522, dim: int = 128, time_dim: int = 128, width: int = 768, layers: int = 12
    ) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=vocab, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64
        )
        config._attn_implementation = "eager"
        self.time_dim = time_dim
        self.word_embedding = nn.Embedding(vocab, dim)
        self.lm_head = nn.Linear(dim, vocab)
        self.lm_head.weight = self.word_embedding.weight
        self.time_embed = nn.Sequential(
            nn.Linear(time_dim, 4 * time_dim), nn.SiLU(), nn.Linear(4 * time_dim, width)
        )
        self.up = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, width))
        self.encoder = BertEncoder(config)
        self.positions = nn.Embedding(512, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)
        self.down = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, dim))

    def forward(self, x_BLD: Tensor, time_B: Tensor) -> Tensor:
        half = self.time_dim // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
        angles = time_B[:, None].float() * frequencies
        time_BH = self.time_embed(torch.cat([angles.cos(), angles.sin()], 1))
        place_LH = self.positions(torch.arange(x_BLD.shape[1]))
        h = self.dropout(self.norm(place_LH + self.up(x_BLD) + time_BH[:, None]))
        return self.down(self.encoder(h).last_hidden_state)


def training_loss(model: ReferenceDiffuSeq, ids: Tensor, mask: Tensor, t_B: Tensor, bars: Tensor) -> Tensor:
    """The official loss of one batch; ``mask`` is 1 at generated positions."""
    e = model.word_embedding(ids)
    x0 = e + (1 - bars[0]).sqrt().float() * torch.randn_like(e)
    alpha, sigma = (v.float()[:, None, None] for v in (bars[t_B].sqrt(), (1 - bars[t_B]).sqrt()))
    x_t = torch.where(mask[..., None] == 0, x0, alpha * x0 + sigma * torch.randn_like(x0))
    output = model(x_t, t_B * 0.5)
    target = torch.where((t_B == 0)[:, None, None], e, x0)
    mse = ((target - output) ** 2).mean((1, 2))
    tail = ((bars[-1].sqrt().float() * x0) ** 2).mean((1, 2))
    logits = model.lm_head(x0)
    nll = (
        functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
        .view(ids.shape)
        .mean(1)
    )
    return (mse + nll + tail).mean()


@torch.no_grad()
def nearest(table: Tensor, x_BLD: Tensor) -> Tensor:
    """The official rounding: |E|² + |x|² − 2·E·x over the whole vocabulary, clamped, top-1."""
    flat = x_BLD.reshape(-1, x_BLD.shape[-1])
    distance = (table**2).sum(-1)[:, None] + (flat**2).sum(-1)[None] - 2.0 * table @ flat.T
    index = torch.topk(-distance.clamp(0.0, math.inf), k=1, dim=0).indices
    return table[index].view_as(x_BLD)


@torch.no_grad()
def denoising_step(
    model: ReferenceDiffuSeq, x: Tensor, e: Tensor, mask: Tensor, t: int, bars: Tensor
) -> Tensor:
    """One official DDPM step with rounding."""
    x0 = nearest(model.word_embedding.weight, model(x, torch.full((len(x),), t * 0.5)))
    before = bars[t - 1]
    beta = 1 - bars[t] / before
    mean = (beta * before.sqrt() / (1 - bars[t])).float() * x0
    mean = mean + ((1 - before) * (1 - beta).sqrt() / (1 - bars[t])).float() * x
    sample = mean + beta.sqrt().float() * torch.randn_like(x)
    return torch.where(mask[..., None] == 0, e, sample)
