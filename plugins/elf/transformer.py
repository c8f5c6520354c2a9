"""ELF's transformer: pre-RMSNorm blocks with SwiGLU, told time and guidance by tokens before the text.

Submodules bear the official names.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Width of the sinusoid of a time or a guidance scale, whatever else is chosen.
SINUSOID = 256
PERIOD = 10_000.0
RMS_EPS = 1e-6


def sinusoid(values_B: Tensor) -> Tensor:
    """Return [cos(s·f), sin(s·f)] with f_j = 10000^(−j/128), [B, 256] float32."""
    half = SINUSOID // 2
    steps = torch.arange(half, dtype=torch.float32, device=values_B.device) / half
    angles = values_B.float()[:, None] * torch.exp(-math.log(PERIOD) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ScalarEmbedder(nn.Module):
    """E(s) = W₂·SiLU(W₀·sinusoid(s)), [B] to [B, H]; s is the time in [0, 1] or the guidance scale itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp_0 = nn.Linear(SINUSOID, width)
        self.mlp_2 = nn.Linear(width, width)

    def forward(self, values_B: Tensor) -> Tensor:
        embedded_BH: Tensor = self.mlp_2(functional.silu(self.mlp_0(sinusoid(values_B))))
        return embedded_BH


class TextProjection(nn.Module):
    """W₂·W₁·x: states to the transformer's width through a narrow bottleneck, [B, L, D] to [B, L, H]."""

    def __init__(self, states: int, bottleneck: int, width: int) -> None:
        super().__init__()
        self.proj1 = nn.Linear(states, bottleneck, bias=False)
        self.proj2 = nn.Linear(bottleneck, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        projected_BLH: Tensor = self.proj2(self.proj1(x_BLD))
        return projected_BLH


def rotation(length: int, prefix: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the rotary embedding, [prefix + length, width] float32 each.

    Pair i of the text's position p is rotated by p/10000^(2i/width); the prefix is not rotated.
    """
    steps = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
    positions = torch.arange(length, dtype=torch.float32, device=device)
    # As a quotient: multiplied by a negative power, positions near a thousand are 3·10⁻⁵ off in float32.
    angles = functional.pad(positions[:, None] * (1 / PERIOD**steps), (0, 0, prefix, 0))
    angles = angles.repeat_interleave(2, dim=1)
    return angles.cos(), angles.sin()


def rotate(x_BNLd: Tensor, cos_Ld: Tensor, sin_Ld: Tensor) -> Tensor:
    """Rotate the neighbours (2i, 2i + 1) of each head: rotary position embedding, interleaved."""
    turned = torch.stack([-x_BNLd[..., 1::2], x_BNLd[..., ::2]], dim=-1).flatten(-2)
    return x_BNLd * cos_Ld + turned * sin_Ld


class Attention(nn.Module):
    """softmax(q·kᵀ/√d)·v over all positions; q and k are normalised in each head, then rotated."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // heads, RMS_EPS)
        self.k_norm = nn.RMSNorm(width // heads, RMS_EPS)
        self.proj = nn.Linear(width, width)

    def forward(self, u_BLH: Tensor, cos_Ld: Tensor, sin_Ld: Tensor) -> Tensor:
        qkv_BL3Nd = self.qkv(u_BLH).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv_BL3Nd.unbind(2))
        normed = (self.q_norm(q.float()), self.k_norm(k.float()))
        q, k = (rotate(part, cos_Ld, sin_Ld).to(v.dtype) for part in normed)
        mixed_BLH = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out_BLH: Tensor = self.proj(mixed_BLH)
        return out_BLH


def inner_width(width: int) -> int:
    """Return the width inside of the SwiGLU: two thirds of 4·width."""
    return int(4 * width * 2 / 3)


class SwiGLU(nn.Module):
    """W₃·(SiLU(a)·b) with [a, b] = W₁₂·u."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * inner_width(width))
        self.w3 = nn.Linear(inner_width(width), width)

    def forward(self, u_BLH: Tensor) -> Tensor:
        gate, value = self.w12(u_BLH).chunk(2, dim=-1)
        out_BLH: Tensor = self.w3(functional.silu(gate) * value)
        return out_BLH


class Block(nn.Module):
    """h + Attention(RMSNorm(h)), then h + SwiGLU(RMSNorm(h))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(width, RMS_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.RMSNorm(width, RMS_EPS)
        self.mlp = SwiGLU(width)

    def forward(self, h_BLH: Tensor, cos_Ld: Tensor, sin_Ld: Tensor) -> Tensor:
        h_BLH = h_BLH + self.attn(self.norm1(h_BLH), cos_Ld, sin_Ld)
        out_BLH: Tensor = h_BLH + self.mlp(self.norm2(h_BLH))
        return out_BLH


class FinalLayer(nn.Module):
    """x̂ = W·RMSNorm(h) + b, [B, L, H] to [B, L, D]."""

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        self.norm_final = nn.RMSNorm(width, RMS_EPS)
        self.linear = nn.Linear(width, states)

    def forward(self, h_BLH: Tensor) -> Tensor:
        x_BLD: Tensor = self.linear(self.norm_final(h_BLH))
        return x_BLD
