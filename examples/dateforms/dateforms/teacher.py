"""The teacher: space and network, trained together on the cross-entropy of tokens."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch.nn import functional

from dlmone.core import Batch, Example, Noise, Teacher, TrainingLoss

from .network import Decoder
from .options import DateFormsOptions
from .space import NONE, PAD, SOURCE, DateSpace, split_date


class DateForms(Teacher):
    """An encoder-decoder diffusion model of dates.

    Args:
        words: the tokens of the training texts.
        options: sizes.
    """

    space: DateSpace
    network: Decoder

    def __init__(self, words: list[str], options: DateFormsOptions) -> None:
        super().__init__()
        self.words, self.options = words, options
        self.space = DateSpace(words, options.state, options.width, options.heads)
        self.network = Decoder(self.space, options.width, options.heads, options.layers)
        self.feature_width = options.width

    @classmethod
    def build(cls, options: DateFormsOptions, examples: Iterable[Example]) -> Self:
        words = {word for one in examples for word in (*split_date(one.source), *one.target.split())}
        return cls([PAD, NONE, *sorted(words)], options)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        return cls(config["words"], DateFormsOptions(**config["options"]))

    def config(self) -> dict[str, Any]:
        return {"words": self.words, "options": self.options.model_dump()}

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Return the cross-entropy of the target's tokens at a random time, and the schedule's fit to it."""
        space, options, schedule = self.space, self.options, self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.min_time, schedule.max_time)
        dropped_B = noise.uniform("condition") < options.no_condition
        null_BL = space.null_condition(batch).tokens_BL
        batch = space.encode(
            replace(batch, tokens_BL=torch.where(dropped_B[:, None], null_BL, batch.tokens_BL))
        )
        e = space.embed(batch)
        e_t = schedule.diffuse(e, t_B, noise.normal("epsilon", space.state_shape))
        with torch.no_grad():
            estimate = self.network.denoise(e_t, t_B, batch).x0
        kept_B = noise.uniform("self") < options.self_conditioning
        previous = torch.where(kept_B[:, None, None], estimate, 0)
        logits_BTV = self.network.denoise(e_t, t_B, batch, previous=previous, tokens=True).logits_BLV
        assert logits_BTV is not None
        tokens_BT = batch.tokens_BL[:, SOURCE:]
        entropy_B = functional.cross_entropy(logits_BTV.mT, tokens_BT, reduction="none").mean(1)
        # The schedule learns from the loss at a noise level, and the network not from the schedule.
        fit_B = (entropy_B.detach() - schedule.expected_loss(schedule.gamma(t_B).float())) ** 2
        logged = {"cross_entropy": entropy_B.detach(), "schedule": fit_B.detach()}
        return TrainingLoss(entropy_B + fit_B, observation={}, logged=logged)
