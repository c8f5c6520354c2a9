"""LangFlow's transformer: pre-LayerNorm blocks told the noise level by adaptive LayerNorm (DiT), with RoPE.

Submodules bear the official names.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.plugins.bert.norm import LayerNorm

#: Width of the sinusoid of γ, whatever else is chosen.
SINUSOID = 256
PERIOD = 10_000.0
LAYER_NORM_EPS = 1e-5


class NoiseLevel(nn.Module):
    """c = SiLU(W₂·SiLU(W₁·s(γ) + b₁) + b₂), [B] to [B, C]: what every block is conditioned on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOID, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, gamma_B: Tensor) -> Tensor:
        return functional.silu(self.mlp(sinusoid(gamma_B)))


def sinusoid(gamma_B: Tensor) -> Tensor:
    """Return [cos(γ·f), sin(γ·f)] with f_j = 10000^(−j/128), [B, 256] float32."""
    half = SINUSOID // 2
    steps = torch.arange(half, dtype=torch.float32, device=gamma_B.device) / half
    angles = gamma_B[:, None] * torch.exp(-math.log(PERIOD) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def rotate(x_BNLd: Tensor) -> Tensor:
    """Rotate each pair (j, j + d/2) by position·10000^(−2j/d): rotary position embedding, half-split."""
    length, width = x_BNLd.shape[-2:]
    steps = torch.arange(0, width, 2, dtype=torch.float32, device=x_BNLd.device) / width
    positions = torch.arange(length, dtype=torch.float32, device=x_BNLd.device)
    angles = positions[:, None] * PERIOD**-steps
    cos, sin = angles.cos().to(x_BNLd.dtype), angles.sin().to(x_BNLd.dtype)
    first, second = x_BNLd.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def modulated(normed_BLD: Tensor, shift_BD: Tensor, scale_BD: Tensor) -> Tensor:
    """Return n·(1 + scale) + shift, one shift and scale for all positions of a sample."""
    return normed_BLD * (1 + scale_BD[:, None]) + shift_BD[:, None]


class Block(nn.Module):
    """h + g₁·Attention(modulated LN(h)), then h + g₂·MLP(modulated LN(h)); shifts, scales, gates from c."""

    def __init__(self, width: int, condition: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = LayerNorm(width, LAYER_NORM_EPS, bias=False)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.norm2 = LayerNorm(width, LAYER_NORM_EPS, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * width, width),
        )
        self.adaLN_modulation = zero_linear(condition, 6 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h_BLD: Tensor, c_BC: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c_BC).chunk(6, dim=-1)
        attended_BLD = self.attn_out(self.attention(modulated(self.norm1(h_BLD), shift1, scale1)))
        h_BLD = h_BLD + gate1[:, None] * self.dropout(attended_BLD)
        inner_BLD = self.mlp(modulated(self.norm2(h_BLD), shift2, scale2))
        out_BLD: Tensor = h_BLD + gate2[:, None] * self.dropout(inner_BLD)
        return out_BLD

    def attention(self, u_BLD: Tensor) -> Tensor:
        """softmax(q·kᵀ/√d)·v over all positions, q and k rotated; heads joined, [B, L, D]."""
        qkv_BL3Nd = self.attn_qkv(u_BLD).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv_BL3Nd.unbind(2))
        return functional.scaled_dot_product_attention(rotate(q), rotate(k), v).transpose(1, 2).flatten(2)


class OutputLayer(nn.Module):
    """W·(modulated LN(h)) + b: the network's own part of the token logits, [B, L, V].

    Tied, it is W·(modulated LN(h)) in the space of states, [B, L, D], whose products with the table's rows
    are logits, and b is kept aside. ``places_N`` are indices of positions among all B·L, of which alone it
    gives [N, V] or [N, D].

    Args:
        width: of h.
        condition: width of the noise level's embedding.
        tokens: V.
        tied: D, to be tied to the table.
    """

    def __init__(self, width: int, condition: int, tokens: int, tied: int | None = None) -> None:
        super().__init__()
        self.norm_final = LayerNorm(width, LAYER_NORM_EPS, bias=False)
        self.linear = zero_linear(width, tied or tokens, bias=not tied)
        self.bias = nn.Parameter(torch.zeros(tokens)) if tied else None
        self.adaLN_modulation = zero_linear(condition, 2 * width)

    @property
    def token_bias(self) -> Tensor:
        """What is added to every position's logits, [V]."""
        return self.linear.bias if self.bias is None else self.bias

    def forward(self, h_BLD: Tensor, c_BC: Tensor, places_N: Tensor | None = None) -> Tensor:
        shift_BD, scale_BD = self.adaLN_modulation(c_BC).chunk(2, dim=-1)
        read_BLD = modulated(self.norm_final(h_BLD), shift_BD, scale_BD)
        logits: Tensor = self.linear(at_places(read_BLD, places_N))
        return logits


def at_places(x_BLD: Tensor, places_N: Tensor | None) -> Tensor:
    """Return the rows [N, D] at indices among all B·L, or all of them as they are, [B, L, D]."""
    return x_BLD if places_N is None else x_BLD.flatten(0, 1).index_select(0, places_N)


def zero_linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """Return a linear map that starts as zero."""
    linear = nn.Linear(inputs, outputs, bias=bias)
    for parameter in linear.parameters():
        nn.init.zeros_(parameter)
    return linear
