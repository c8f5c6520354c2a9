"""BERT's encoder with the names and the arithmetic of the original: post-LayerNorm, exact GELU, no mask."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

LAYER_NORM_EPS = 1e-12


class Encoder(nn.Module):
    """A stack of layers, [B, L, H] to [B, L, H]."""

    def __init__(
        self, layers: int, width: int, heads: int, feedforward: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            Layer(width, heads, feedforward, dropout, attention_dropout) for _ in range(layers)
        )

    def forward(self, h_BLH: Tensor) -> Tensor:
        for layer in self.layer:
            h_BLH = layer(h_BLH)
        return h_BLH


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each followed by dropout, residual and LayerNorm."""

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(width, heads, attention_dropout), "output": Output(width, width, dropout)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, feedforward)})
        self.output = Output(feedforward, width, dropout)

    def forward(self, h_BLH: Tensor) -> Tensor:
        h_BLH = self.attention["output"](self.attention["self"](h_BLH), h_BLH)
        return self.output(functional.gelu(self.intermediate["dense"](h_BLH)), h_BLH)


class Output(nn.Module):
    """LayerNorm(residual + dropout(Linear(h)))."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h_BLI: Tensor, residual_BLH: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(h_BLI)) + residual_BLH)


class SelfAttention(nn.Module):
    """softmax(Q·Kᵀ/√d)·V over all positions."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, h_BLH: Tensor) -> Tensor:
        q, k, v = (
            rearrange(linear(h_BLH), "b l (n d) -> b n l d", n=self.heads)
            for linear in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        return rearrange(attend(q, k, v, dropout), "b n l d -> b l (n d)")


def attend(q_BNLD: Tensor, k_BNLD: Tensor, v_BNLD: Tensor, dropout: float) -> Tensor:
    """Attention; fused where that is faster.

    On the CPU the fused kernel's backward pass takes about twice the time of the plain products at these
    lengths, so it serves only where neither gradient nor dropout is wanted.
    """
    if q_BNLD.device.type == "cpu" and (dropout > 0 or torch.is_grad_enabled()):
        weights = torch.softmax(q_BNLD * q_BNLD.shape[-1] ** -0.5 @ k_BNLD.mT, dim=-1)
        return functional.dropout(weights, dropout, training=dropout > 0) @ v_BNLD
    return functional.scaled_dot_product_attention(q_BNLD, k_BNLD, v_BNLD, dropout_p=dropout)
