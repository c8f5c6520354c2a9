"""Sequence-level distillation (Kim and Rush 2016): θ learns the text that φ makes of the same noise."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn import functional

from dlmone.core import OUTPUT, InputError, Request, StepContext, Term
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions

from .options import SequenceOptions
from .space import LangFlowSpace


class SequenceDistillation(Regression):
    """−log p_θ(y | c, z), a mean over generated positions; y is what φ names after several calls from z.

    φ's calls are those of `Regression`, but what is learned is a text: tokens that a chain names together
    agree with each other, where a mean over φ's probabilities mixes texts that are as likely.
    """

    def __init__(self, options: SequenceOptions) -> None:
        # As regression's, so that the two share their passes.
        super().__init__(RegressionOptions(**options.model_dump(exclude={"chain"})))
        self.chain = options.chain
        self.target = replace(self.target, tokens=True)
        self.output = replace(OUTPUT, tokens=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.target, self.output) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        space, batch = step.space, step.fake
        if not isinstance(space, LangFlowSpace):
            raise InputError(
                "sequence: this objective reads LangFlow's token logits, which this model has not"
            )
        target_BLV, logits_BLV = step[self.target].logits_BLV, step[self.output].logits_BLV
        assert target_BLV is not None, "asked for"
        assert logits_BLV is not None, "asked for"
        chain = space.chain if self.chain == "model" else self.chain
        with torch.no_grad():
            tokens_BL = space.name_tokens(target_BLV, batch, chain, step.noise)
        nll_BL = functional.cross_entropy(logits_BLV.transpose(1, 2), tokens_BL, reduction="none")
        return Term(masked_mean(nll_BL, batch.target_BL), {})
