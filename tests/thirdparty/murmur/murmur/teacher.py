"""The teacher: space and network, trained together on cross-entropy."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import Batch, Example, Noise, Teacher, TrainingLoss
from dlmone.core.step.losses import masked_mean

from .network import ConvDenoiser
from .options import MurmurOptions
from .space import END, PAD, SEP, ContextSpace


class Murmur(Teacher):
    """A diffusion language model over the words of its training texts."""

    space: ContextSpace
    network: ConvDenoiser

    def __init__(self, words: list[str], options: MurmurOptions) -> None:
        super().__init__()
        self.words, self.options = words, options
        self.space = ContextSpace(words, options.length, options.width, options.context)
        self.network = ConvDenoiser(self.space, options.hidden, options.layers)
        self.feature_width = options.hidden

    @classmethod
    def build(cls, options: MurmurOptions, examples: Iterable[Example]) -> Self:
        texts = (f"{example.source} {example.target}".lower() for example in examples)
        return cls([PAD, SEP, END, *sorted({word for text in texts for word in text.split()})], options)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        return cls(assets["words.txt"].decode().split("\n"), MurmurOptions(**config))

    def config(self) -> dict[str, Any]:
        return self.options.model_dump()

    def assets(self) -> dict[str, bytes]:
        return {"words.txt": "\n".join(self.words).encode()}

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Return cross-entropy at a random time, the schedule's fit to it, and the guided prediction's loss.

        The guided prediction learns f(∅) + κ·(f(c) − f(∅)), the network's own answers at scale 1.
        """
        space, options, schedule = self.space, self.options, self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.min_time, schedule.max_time)
        batch = self._without_some_conditions(batch, noise.uniform("condition"))
        given, e = space.embed_condition(batch), space.embed(batch)
        e_t = space.pin(schedule.diffuse(e, t_B, noise.normal("epsilon", space.state_shape)), given, batch)
        with torch.no_grad():
            first = self.network.denoise(e_t, t_B, batch).x0
        kept_B = noise.uniform("self") < options.self_conditioning_rate
        previous = torch.where(kept_B[:, None, None], first, 0)
        answer = self.network.denoise(e_t, t_B, batch, previous=previous, tokens=True)
        assert answer.logits_BLV is not None
        nll_BL = functional.cross_entropy(answer.logits_BLV.mT, batch.tokens_BL, reduction="none")
        cross_entropy_B = masked_mean(nll_BL, batch.target_BL)
        fit_B = (cross_entropy_B.detach() - schedule.expected_loss(schedule.gamma(t_B).float())) ** 2

        kappa_B = options.most_guidance ** noise.uniform("guidance").float()
        target = self._guided(e_t, t_B, batch, kappa_B)
        guided = self.network.denoise(e_t, t_B, batch, guidance=kappa_B).x0
        guided_B = masked_mean((guided - target) ** 2, space.generated(batch))
        parts = {"cross_entropy": cross_entropy_B, "fit": fit_B, "guided": guided_B}
        return TrainingLoss(sum(parts.values()), {}, {name: part.detach() for name, part in parts.items()})

    @torch.no_grad()
    def _guided(self, e_t: Tensor, t_B: Tensor, batch: Batch, kappa_B: Tensor) -> Tensor:
        null = self.space.null_condition(batch)
        pinned = self.space.pin(e_t, self.space.embed_condition(null), null)
        without, with_c = (self.network.denoise(*one).x0 for one in ((pinned, t_B, null), (e_t, t_B, batch)))
        return without + kappa_B[:, None, None] * (with_c - without)

    def _without_some_conditions(self, batch: Batch, uniform_B: Tensor) -> Batch:
        dropped_B1 = (uniform_B < self.options.condition_dropout)[:, None]
        null_BL = self.space.null_condition(batch).tokens_BL
        return replace(batch, tokens_BL=torch.where(dropped_B1, null_BL, batch.tokens_BL))
