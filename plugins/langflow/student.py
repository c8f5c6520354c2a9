"""LangFlow's student: its last network call names tokens by their logits, as its teacher's does."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone.core import Batch, DiffusionGenerator, Generated, Noise
from dlmone.core.step.noise import Draw

from .naming.chain import DRAW
from .space import LangFlowSpace


class LangFlowStudent(DiffusionGenerator):
    """A student that names a sequence's tokens together, where its space says so.

    A final state alone would not do: a mean of rows no longer says how likely each token is.
    """

    space: LangFlowSpace

    @property
    def draws(self) -> tuple[Draw, ...]:
        chain, (length, _) = self.space.chain, self.space.state_shape
        drawn = (
            (Draw("uniform", DRAW, chain.draw_shape(length)),)
            if chain is not None and chain.temperature
            else ()
        )
        return (*super().draws, *drawn)

    def one_step_tokens(self, batch: Batch, noise: Noise) -> Tensor:
        if self.space.chain is None:
            return super().one_step_tokens(batch, noise)
        return self._named(batch, noise, 1, static=True).tokens_BL

    @torch.no_grad()
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        if self.sampler is not None or self.space.chain is None:
            return super().generate(batch, noise, steps, earlier)
        return self._named(self.encoded(batch), noise, steps)

    def _named(self, batch: Batch, noise: Noise, steps: int, static: bool = False) -> Generated:
        given = self._given(batch)
        found = self.call(self.input_of(batch, given, noise, steps, steps), tokens=True)
        assert found.logits_BLV is not None, "asked for"
        tokens_BL = self.space.name_tokens(found.logits_BLV, batch, self.space.chain, noise, static)
        return Generated(tokens_BL, steps, self.space.pin(found.x0, given, batch))
