"""The teacher: a space, a network, and the loss that trains both."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from einops import rearrange, reduce
from torch.nn import functional

from dlmone.core import Batch, Example, Noise, Teacher, TrainingLoss
from dlmone.core.prediction import to_x0

from .network import Mixer
from .options import FlowCharsOptions
from .space import LetterSpace


class FlowChars(Teacher):
    """Flow matching (Lipman et al. 2023) over characters.

    Args:
        alphabet: the characters of the training texts.
        options: sizes.
    """

    def __init__(self, alphabet: str, options: FlowCharsOptions) -> None:
        super().__init__()
        self.options = options
        self.space = LetterSpace(
            alphabet, words=options.words, letters=options.letters, code=options.code, norm=options.norm
        )
        patches, entries = self.space.state_shape
        self.network = Mixer(
            self.space.schedule, patches=patches, entries=entries, width=options.width, layers=options.layers
        )
        self.feature_width = options.width

    @classmethod
    def build(cls, options: FlowCharsOptions, examples: Iterable[Example]) -> Self:
        alphabet = set().union(*(example.target for example in examples)) - {" "}
        return cls("".join(sorted(alphabet)), options)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        return cls(config["alphabet"], FlowCharsOptions(**config["options"]))

    def config(self) -> dict[str, Any]:
        return {"alphabet": self.space.alphabet, "options": self.options.model_dump()}

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """‖v(e_t, t) − (ε − e)‖², and the cross-entropy of reading the characters off the prediction."""
        schedule = self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.first, schedule.last)
        epsilon = noise.normal("epsilon", self.space.state_shape)
        e = self.space.embed(batch)
        e_t = schedule.diffuse(e, t_B, epsilon)
        velocity = self.network.velocity(self.network.hidden(e_t, t_B))
        flow_B = reduce((velocity - (epsilon - e)) ** 2, "b ... -> b", "mean")

        # Reading learns from the network's predictions and leaves them as they are.
        x0 = to_x0("flow", velocity.detach(), e_t, schedule.alpha(t_B), schedule.sigma(t_B))
        logits_BVL = rearrange(self.space.logits(x0), "b l v -> b v l")
        reading_B = functional.cross_entropy(logits_BVL, batch.tokens_BL, reduction="none").mean(1)
        return TrainingLoss(flow_B + reading_B, {}, {"flow": flow_B.detach(), "reading": reading_B.detach()})
