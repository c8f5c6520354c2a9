"""LangFlow's denoiser: token logits from a transformer and from Bayes' rule, x0 as their mean row."""

import copy
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Denoised, Denoiser
from dlmone.core.model.schedule import expand
from dlmone.plugins.bert.start import EncoderSizes

from ..space import LangFlowSpace
from .encoder import BertTrunk
from .transformer import Block, NoiseLevel, OutputLayer, at_places, zero_linear

#: Size of a place's first vector beside a state's: at zero it was learned too late to help.
PLACE_SCALE = 0.5


class Borrowed:
    """A module that another one owns: not among the borrower's parameters.

    A copy of owner and borrower together is a pair of its own; a copy of the borrower alone shares the owner.
    So an averaged teacher reads its averaged table, while θ and ψ, copies of φ's network, share φ's space.
    """

    def __init__(self, module: LangFlowSpace) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(memo.get(id(self.module), self.module))


class Prediction(NamedTuple):
    """Token logits float32, [B, L, V] or [N, V] of chosen positions, and what each layer gave, [B, L, H]."""

    logits: Tensor
    hidden: list[Tensor]


class LangFlowNetwork(Denoiser):
    """x0 = softmax(l)·E with l = net(z, γ, x_sc) + α/σ²·z·Eᵀ.

    The second part of the logits is log p(z | token v) = −‖z − α·E_v‖²/2σ² less what all rows of one norm
    share, so the network learns only what a state does not say of its own token.

    Args:
        space: owns the table and the schedule; borrowed.
        condition: width of the noise level's embedding.
        layers, heads: of the transformer, as wide as the states.
        encoder: sizes of a BERT-type encoder in the place of the transformer's blocks.
        dropout: after attention and after the MLP of each block.
        bayes: whether the logits have their Bayes term.
        self_conditioning: whether the network reads an earlier estimate x_sc, zeros where there is none.
        conditional: whether generated positions are marked, by a learned vector of their place among the
            generated ones. Attention alone knows distances, and a target begins wherever its condition ends.
        tied: whether the network's own logits are products with the table's rows, as the Bayes term's are:
            l = E·(net(z, γ, x_sc) + α/σ²·z) + b.
    """

    float32_modules: tuple[str, ...] = ("sigma_map",)
    takes_temperature = True

    def __init__(
        self,
        space: LangFlowSpace,
        *,
        condition: int,
        layers: int,
        heads: int,
        encoder: EncoderSizes | None = None,
        dropout: float = 0.1,
        bayes: bool = True,
        self_conditioning: bool = True,
        conditional: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self._space = Borrowed(space)
        length, width = space.state_shape
        self.bayes = bayes
        self.self_conditioning = self_conditioning
        self.sigma_map = NoiseLevel(condition)
        if self_conditioning:
            self.self_cond_proj = zero_linear(2 * width, width, bias=False)
            self.float32_modules = ("sigma_map", "self_cond_proj")
            self.passes = 2
        self.places = nn.Parameter(PLACE_SCALE * torch.randn(length, width)) if conditional else None
        self.encoder = None if encoder is None else BertTrunk(width, condition, encoder, dropout)
        own = layers if encoder is None else 0
        self.blocks = nn.ModuleList(Block(width, condition, heads, dropout) for _ in range(own))
        self.hidden_width = width if encoder is None else encoder.width
        self.output_layer = OutputLayer(
            self.hidden_width, condition, len(space.embedding), tied=width if tied else None
        )

    @property
    def space(self) -> LangFlowSpace:
        return self._space.module

    def add_second_time(self) -> None:
        """Add an embedding of the second noise level: the first one's, with its last layer at zero."""
        if self.second_time:
            return
        self.second_time = True
        self.second_sigma_map = copy.deepcopy(self.sigma_map)
        for parameter in self.second_sigma_map.mlp[-1].parameters():
            nn.init.zeros_(parameter)
        self.float32_modules = (*self.float32_modules, "second_sigma_map")

    def keep_layers(self, count: int) -> None:
        """Keep the first layers alone."""
        if self.encoder is None:
            self.blocks = self.blocks[:count]
        else:
            stack = self.encoder.input_transformers
            stack.layer = stack.layer[:count]

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
        s_B: Tensor | None = None,
        temperature: float = 1.0,
        **_: Any,
    ) -> Denoised:
        logits_BLV, hidden = self.predict(e_t, t_B, batch, previous, s_B=s_B)
        x0_BLD = self.space.mixture((logits_BLV / temperature).softmax(-1))
        wanted = bool(features or layers)
        return Denoised(
            x0_BLD,
            hidden[-1] if wanted else None,
            batch.target_BL if wanted else None,
            layers={layer: hidden[layer] for layer in layers},
            logits_BLV=logits_BLV if tokens else None,
        )

    def evaluate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        """Predict as in training: self-conditioned on the estimate of a first pass, without gradient."""
        previous = None
        if self.self_conditioning:
            with torch.no_grad():
                previous = self.denoise(e_t, t_B, batch).x0
        return self.denoise(e_t, t_B, batch, previous=previous, **wanted)

    def predict(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        previous: Tensor | None = None,
        ramp: float = 1.0,
        s_B: Tensor | None = None,
        places_N: Tensor | None = None,
    ) -> Prediction:
        """Return token logits and hidden states.

        Args:
            ramp: scales the Bayes term in training.
            places_N: the positions whose logits are wanted, as indices among all B·L; all of them by default.
                Logits are most of what a small network computes.
        """
        schedule, z_BLD = self.space.schedule, e_t.float()
        with torch.autocast(e_t.device.type, enabled=False):
            c_BC = self.sigma_map(schedule.network_time(t_B))
            if self.second_time:
                c_BC = c_BC + self.second_sigma_map(schedule.network_time(t_B if s_B is None else s_B))
            h_BLD = self.read_in(z_BLD, batch, previous)
        hidden = self.hidden(h_BLD, c_BC)
        own = self.output_layer(hidden[-1], c_BC, places_N).float()
        with torch.autocast(e_t.device.type, enabled=False):
            logits = self._logits(own, self._evidence(z_BLD, t_B, ramp, places_N) if self.bayes else None)
        return Prediction(logits, hidden)

    def _evidence(self, z_BLD: Tensor, t_B: Tensor, ramp: float, places_N: Tensor | None) -> Tensor:
        """Return α/σ²·z, whose products with the rows are what a state says of its own token."""
        schedule = self.space.schedule
        skip_B = ramp * schedule.alpha(t_B) / schedule.sigma(t_B) ** 2
        return at_places(expand(skip_B, z_BLD) * z_BLD, places_N)

    def _logits(self, own: Tensor, evidence: Tensor | None) -> Tensor:
        """Add up the network's own part, which tied is of a state's width, and the Bayes term."""
        rows_VD = self.space.rows()
        if self.output_layer.bias is None:
            return own if evidence is None else own + evidence @ rows_VD.T
        whole = own if evidence is None else own + evidence
        return functional.linear(whole, rows_VD, self.output_layer.bias)

    def hidden(self, h_BLD: Tensor, c_BC: Tensor) -> list[Tensor]:
        """Return what each layer gives, the first one first, [B, L, H] each."""
        if self.encoder is not None:
            return self.encoder.hidden(h_BLD, c_BC)
        hidden = [h_BLD]
        for block in self.blocks:
            hidden.append(block(hidden[-1], c_BC))
        return hidden[1:]

    def read_in(self, z_BLD: Tensor, batch: Batch, previous: Tensor | None) -> Tensor:
        """h = z + W_sc·[z ; x_sc] + place; given positions have no place, and no estimate to read."""
        h_BLD = z_BLD
        if self.self_conditioning:
            estimate_BLD = torch.zeros_like(z_BLD) if previous is None else previous.float()
            estimate_BLD = estimate_BLD * batch.target_BL[..., None]
            h_BLD = h_BLD + self.self_cond_proj(torch.cat([z_BLD, estimate_BLD], dim=-1))
        if self.places is not None:
            place_BL = (batch.target_BL.cumsum(1) - 1).clamp(min=0)
            h_BLD = h_BLD + self.places[place_BL] * batch.target_BL[..., None]
        return h_BLD
