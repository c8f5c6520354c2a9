"""Sequence-level distillation (Kim and Rush 2016): θ learns the text that φ makes of the same noise."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import OUTPUT, TEACHER, GeneratorInput, InputError, Objective, Request, StepContext, Term
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role

from .naming.options import ChainOptions
from .options import SequenceOptions
from .space import LangFlowSpace


class SequenceDistillation(Objective):
    """−log p_θ(y | c, z), a mean over generated positions; y is what φ names in one call from θ's own input.

    What is learned is a text: tokens that a chain names together agree with each other, where a mean over φ's
    probabilities mixes texts that are as likely. With ``texts = "data"`` y is the reference: φ's own loss, at
    the one time at which θ is called.
    """

    def __init__(self, options: SequenceOptions) -> None:
        self.texts, self.chain = options.texts, options.chain
        self.target = Request(TEACHER, GeneratorInput(), tokens=True)
        self.output = replace(OUTPUT, tokens=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        if role == "estimator":
            return None
        return (self.output,) if self.texts == "data" else (self.target, self.output)

    def generator_loss(self, step: StepContext) -> Term:
        batch = step.fake
        tokens_BL = batch.tokens_BL if self.texts == "data" else self._texts(step)
        logits_BLV = step[self.output].logits_BLV
        assert logits_BLV is not None, "asked for"
        nll_BL = functional.cross_entropy(logits_BLV.transpose(1, 2), tokens_BL, reduction="none")
        return Term(masked_mean(nll_BL, batch.target_BL), {})

    @torch.no_grad()
    def _texts(self, step: StepContext) -> Tensor:
        """Return φ's tokens [B, L]; of a model that is no LangFlow, each position's likeliest."""
        logits_BLV, space, batch = step[self.target].logits_BLV, step.space, step.fake
        assert logits_BLV is not None, "asked for"
        if isinstance(space, LangFlowSpace):
            chain = space.chain if self.chain == "model" else self.chain
            return space.name_tokens(logits_BLV, batch, chain, step.noise)
        if isinstance(self.chain, ChainOptions):
            raise InputError("chain: only LangFlow names tokens by one; leave it out")
        return torch.where(batch.target_BL, logits_BLV.argmax(-1), batch.tokens_BL)
