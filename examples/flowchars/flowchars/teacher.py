"""The teacher: a space, a network, and their training loss."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from einops import rearrange, reduce
from torch.nn import functional

from dlmone.core import Batch, Example, Noise, Teacher, TrainingLoss
from dlmone.core.model.prediction import to_x0

from .network import Mixer
from .options import FlowCharsOptions
from .space import LetterSpace


class FlowChars(Teacher):
    """Flow matching (Lipman et al. 2023) over spelled words.

    Args:
        alphabet: the letters of the training texts.
        options: sizes.
    """

    space: LetterSpace
    network: Mixer

    def __init__(self, alphabet: str, options: FlowCharsOptions) -> None:
        super().__init__()
        self.alphabet, self.options = alphabet, options
        self.space = LetterSpace(alphabet, options.words, options.letters, options.code, options.norm)
        words, entries = self.space.state_shape
        self.network = Mixer(self.space.schedule, words, entries, options.width, options.layers)
        self.feature_width = options.width

    @classmethod
    def build(cls, options: FlowCharsOptions, examples: Iterable[Example]) -> Self:
        letters = {letter for example in examples for letter in example.target if not letter.isspace()}
        return cls("".join(sorted(letters)), options)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        return cls(config["alphabet"], FlowCharsOptions(**config["options"]))

    def config(self) -> dict[str, Any]:
        return {"alphabet": self.alphabet, "options": self.options.model_dump()}

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Return ‖v(e_t, t) − (ε − e)‖² at a random time, plus the cross-entropy of letters given x0."""
        schedule = self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.min_time, schedule.max_time)
        e, epsilon = self.space.embed(batch), noise.normal("epsilon", self.space.state_shape)
        e_t = schedule.diffuse(e, t_B, epsilon)
        velocity = self.network.velocity(self.network.hidden(e_t, t_B))
        flow_B = reduce((velocity - (epsilon - e)) ** 2, "b ... -> b", "mean")

        # The readout learns from the network's predictions; its loss does not train the network.
        x0 = to_x0("flow", velocity.detach(), e_t, schedule.alpha(t_B), schedule.sigma(t_B))
        logits_BVL = rearrange(self.space.logits(x0), "b l v -> b v l")
        reading_B = functional.cross_entropy(logits_BVL, batch.tokens_BL, reduction="none").mean(1)
        logged = {"flow": flow_B.detach(), "reading": reading_B.detach()}
        return TrainingLoss(flow_B + reading_B, observation={}, logged=logged)
