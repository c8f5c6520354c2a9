"""ELF's denoiser: x0 from noisy encoder states, and in its second mode the tokens of clean ones."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Denoised, Denoiser, Space

from .schedule import ElfSchedule
from .transformer import Block, FinalLayer, ScalarEmbedder, TextProjection, rotation


class ElfNetwork(Denoiser):
    """One transformer in two modes: x̂ = F([z, x_sc], t, w), and logits of tokens with the mode tokens on.

    x_sc is an earlier estimate of x0, zero where there is none, and the state itself at given positions. w is
    the scale of self-conditioning guidance: trained in, it costs no second call.

    Args:
        states: D, width of the states.
        tokens: V, how many tokens the decoding mode tells apart.
        width: H of the transformer.
        layers, heads: of the transformer.
        bottleneck: width between states and transformer.
        time_tokens, guidance_tokens, mode_tokens: numbers of tokens before the text.
        takes_guidance: whether guidance is w; if not, it is two calls, with and without the condition.
    """

    self_conditioning = True
    float32_modules: tuple[str, ...] = (
        "self_cond_proj",
        "text_proj",
        "t_embedder",
        "self_cond_cfg_embedder",
        "final_layer",
    )

    def __init__(
        self,
        *,
        states: int,
        tokens: int,
        width: int,
        layers: int,
        heads: int,
        bottleneck: int,
        time_tokens: int = 4,
        guidance_tokens: int = 4,
        mode_tokens: int = 4,
        takes_guidance: bool = False,
    ) -> None:
        super().__init__()
        self.schedule = ElfSchedule()
        self.takes_guidance = takes_guidance
        self.heads = heads
        self.t_emb_tokens = _normal(1, time_tokens, width)
        self.self_cond_cfg_tokens = _normal(1, guidance_tokens, width)
        self.mode_tokens = _normal(1, mode_tokens, width)
        self.proj_kernel = _xavier(width, states)
        self.proj_bias = nn.Parameter(torch.zeros(states))
        self.unembed_kernel = _xavier(states, tokens)
        self.unembed_bias = nn.Parameter(torch.zeros(tokens))
        self.self_cond_proj = nn.Linear(2 * states, states)
        self.text_proj = TextProjection(states, bottleneck, width)
        self.t_embedder = ScalarEmbedder(width)
        self.self_cond_cfg_embedder = ScalarEmbedder(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.final_layer = FinalLayer(width, states)
        self.prefix = time_tokens + guidance_tokens + mode_tokens

    def add_second_time(self) -> None:
        """Add an embedding of the second time for denoising: the first's, with its last layer at zero."""
        if self.second_time:
            return
        self.second_time = True
        self.second_t_embedder = copy.deepcopy(self.t_embedder)
        for parameter in self.second_t_embedder.mlp_2.parameters():
            nn.init.zeros_(parameter)
        self.float32_modules = (*self.float32_modules, "second_t_embedder")

    # -- the contract ----------------------------------------------------------------------------------

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
        s_B: Tensor | None = None,
        **_: Any,
    ) -> Denoised:
        """Predict x0; token logits take a second pass, in the decoding mode, and leave x0 as it is."""
        e_t = e_t.float()
        estimate = torch.zeros_like(e_t) if previous is None else previous.float()
        estimate = torch.where(batch.target_BL[..., None], estimate, e_t)
        time_B, w_B = self.schedule.network_time(t_B), scales(guidance, e_t)
        second_B = self.schedule.network_time(t_B if s_B is None else s_B) if self.second_time else None
        hidden = self.hidden(torch.cat([e_t, estimate], dim=-1), time_B, w_B, second_B=second_B)
        return Denoised(
            self.estimate(hidden[-1]),
            hidden[-1] if features or layers else None,
            batch.target_BL if features or layers else None,
            self.read(e_t, guidance) if tokens else None,
            {layer: hidden[layer] for layer in layers},
        )

    def decode(
        self, state: Tensor, batch: Batch, space: Space, guidance: float | Tensor = 1.0
    ) -> tuple[Tensor, int]:
        """Return the likeliest tokens by one network call in the decoding mode, and that 1."""
        best_BL = self.read(state, guidance).argmax(-1)
        return torch.where(batch.target_BL, best_BL, batch.tokens_BL), 1

    # -- the two modes ---------------------------------------------------------------------------------

    def read(self, x_BLD: Tensor, guidance: float | Tensor = 1.0) -> Tensor:
        """Return the logits of the tokens [B, L, V] at clean states (t = 1, without self-conditioning)."""
        x_BLD = x_BLD.float()
        ones_B = x_BLD.new_ones(len(x_BLD))
        pair = torch.cat([x_BLD, torch.zeros_like(x_BLD)], dim=-1)
        return self.logits(self.hidden(pair, ones_B, scales(guidance, x_BLD), ones_B)[-1])

    def hidden(
        self,
        pair_BLE: Tensor,
        time_B: Tensor,
        w_B: Tensor,
        mode_B: Tensor | None = None,
        second_B: Tensor | None = None,
    ) -> list[Tensor]:
        """Return what each layer gives at the text's positions, the first layer first, [B, L, H] each.

        Args:
            pair_BLE: state and self-condition side by side, [B, L, 2D], or a state alone [B, L, D].
            time_B: official time, 1 at clean data.
            w_B: the scale of self-conditioning guidance.
            mode_B: 1 where a sample is decoded, 0 where it is denoised; None is 0. The mode tokens of a
                sample that is denoised are zero vectors, which are attended to all the same.
            second_B: the second time, where there is one; reading tokens has none.
        """
        with torch.autocast(pair_BLE.device.type, enabled=False):
            h_BLH = torch.cat([self._prefix(time_B, w_B, mode_B, second_B), self._read_in(pair_BLE)], dim=1)
        width = h_BLH.shape[-1] // self.heads
        turns = rotation(pair_BLE.shape[1], self.prefix, width, h_BLH.device)
        hidden = []
        for block in self.blocks:
            h_BLH = block(h_BLH, *turns)
            hidden.append(h_BLH[:, self.prefix :])
        return hidden

    def estimate(self, h_BLH: Tensor) -> Tensor:
        """Return x̂ [B, L, D] from the last layer's hidden states."""
        with torch.autocast(h_BLH.device.type, enabled=False):
            x_BLD: Tensor = self.final_layer(h_BLH.float())
        return x_BLD

    def logits(self, h_BLH: Tensor) -> Tensor:
        """Return token logits [B, L, V] from the last layer's hidden states, which are not normalised."""
        with torch.autocast(h_BLH.device.type, enabled=False):
            read_BLD = functional.gelu(h_BLH.float() @ self.proj_kernel + self.proj_bias, approximate="tanh")
            return read_BLD @ self.unembed_kernel + self.unembed_bias

    def _prefix(self, time_B: Tensor, w_B: Tensor, mode_B: Tensor | None, second_B: Tensor | None) -> Tensor:
        """Return the tokens before the text: [time | w | mode], [B, prefix, H]."""
        mode_B = torch.zeros_like(time_B) if mode_B is None else mode_B
        time_BTH = self.t_emb_tokens + self.t_embedder(time_B)[:, None]
        if second_B is not None:
            time_BTH = time_BTH + self.second_t_embedder(second_B)[:, None]
        scale_BTH = self.self_cond_cfg_tokens + self.self_cond_cfg_embedder(w_B)[:, None]
        return torch.cat([time_BTH, scale_BTH, mode_B[:, None, None] * self.mode_tokens], dim=1)

    def _read_in(self, pair_BLE: Tensor) -> Tensor:
        alone = pair_BLE.shape[-1] != self.self_cond_proj.in_features
        projected_BLH: Tensor = self.text_proj(pair_BLE if alone else self.self_cond_proj(pair_BLE))
        return projected_BLH


def scales(guidance: float | Tensor, like: Tensor) -> Tensor:
    """Return a guidance scale for each sample, [B] float32, from one for all or from these."""
    if isinstance(guidance, Tensor):
        return guidance.to(like.device, torch.float32)
    return like.new_full((len(like),), guidance, dtype=torch.float32)


def _normal(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(*shape))


def _xavier(inputs: int, outputs: int) -> nn.Parameter:
    """Return a matrix that is multiplied from the right, [inputs, outputs]."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, outputs)))
