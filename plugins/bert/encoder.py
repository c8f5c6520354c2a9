"""BERT's encoder with the original names and arithmetic: post-LayerNorm, exact GELU, no mask."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import Dropout
from .norm import LayerNorm

LAYER_NORM_EPS = 1e-12
#: Up to this length plain matrix products are faster than the CPU's fused attention, even in inference.
SHORT = 128


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

    def hidden(self, h_BLH: Tensor) -> list[Tensor]:
        """Return what each layer gives, [B, L, H] each."""
        hidden = [h_BLH]
        for layer in self.layer:
            hidden.append(layer(hidden[-1]))
        return hidden[1:]


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
        out_BLH: Tensor = self.output(functional.gelu(self.intermediate["dense"](h_BLH)), h_BLH)
        return out_BLH


class Output(nn.Module):
    """LayerNorm(residual + dropout(Linear(h)))."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = LayerNorm(width, LAYER_NORM_EPS)
        self.dropout = Dropout(dropout)

    def forward(self, h_BLI: Tensor, residual_BLH: Tensor) -> Tensor:
        out_BLH: Tensor = self.LayerNorm(self.dropout(self.dense(h_BLI)) + residual_BLH)
        return out_BLH


class SelfAttention(nn.Module):
    """softmax(Q·Kᵀ/√d)·V over all positions."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, h_BLH: Tensor) -> Tensor:
        q, k, v = (self._heads(linear(h_BLH)) for linear in (self.query, self.key, self.value))
        context_BNLd = self._plain(q, k, v) if self._plain_is_faster(h_BLH) else self._fused(q, k, v)
        return context_BNLd.transpose(1, 2).flatten(2)

    def _heads(self, h_BLH: Tensor) -> Tensor:
        """[B, L, H] to [B, N, L, d]."""
        return h_BLH.view(*h_BLH.shape[:2], self.heads, -1).transpose(1, 2)

    def _plain_is_faster(self, h_BLH: Tensor) -> bool:
        """On the CPU the fused kernel's backward pass takes about twice the time of the plain products."""
        if h_BLH.device.type != "cpu":
            return False
        dropping = self.training and self.dropout.rate > 0
        return dropping or torch.is_grad_enabled() or h_BLH.shape[1] <= SHORT

    def _plain(self, q_BNLd: Tensor, k_BNLd: Tensor, v_BNLd: Tensor) -> Tensor:
        scores_BNLL = q_BNLd * q_BNLd.shape[-1] ** -0.5 @ k_BNLd.mT
        # In float32 at least: more exact, and on the CPU faster where L is not a whole number of vectors.
        exact = torch.promote_types(scores_BNLL.dtype, torch.float32)
        weights_BNLL = torch.softmax(scores_BNLL, dim=-1, dtype=exact).to(v_BNLd.dtype)
        context_BNLd: Tensor = self.dropout(weights_BNLL) @ v_BNLd
        return context_BNLd

    def _fused(self, q_BNLd: Tensor, k_BNLd: Tensor, v_BNLd: Tensor) -> Tensor:
        dropout = self.dropout.rate if self.training else 0.0
        return functional.scaled_dot_product_attention(q_BNLd, k_BNLd, v_BNLd, dropout_p=dropout)
