"""dlmone.testing.check_teacher finds each fault of a teacher's training and says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, Noise, TrainingLoss
from dlmone.testing import ToyTeacher, check_teacher
from dlmone.testing.toy import EXAMPLES

from .faults import of, patched
from .finds import Finds


def training(change: Callable[[Tensor], Tensor]) -> Callable[[], ToyTeacher]:
    """Build toys whose training loss is ``change(loss_B)``."""
    return patched("training_loss", lambda _, right, *__: replace(right, loss_B=change(right.loss_B)))


class Forgetful(ToyTeacher):
    """Learns from what it observes, and does not save it."""

    seen = 0.0

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        right = super().training_loss(batch, noise)
        return TrainingLoss(right.loss_B + self.seen, {"loss": right.loss_B.detach()}, {})

    def observe(self, observation: Any) -> None:
        self.seen += observation["loss"].mean().item()


class Indebted(ToyTeacher):
    """Weighs its samples by nothing that adds up."""

    def training_loss(self, batch, noise):
        answer = super().training_loss(batch, noise)
        return replace(answer, weight_B=-torch.ones(len(batch)))


class Undecided(ToyTeacher):
    """Says that its loss is the batch's, and gives one a sample."""

    def training_loss(self, batch, noise):
        return replace(super().training_loss(batch, noise), batch_wide=True)


class Doubly(ToyTeacher):
    """Updates its network twice over."""

    def new_optimizers(self, **adam):
        return [torch.optim.AdamW(self.network.parameters(), **adam) for _ in range(2)]


class Tracer(torch.optim.SGD):
    """Keeps what no checkpoint can hold."""

    def step(self, closure=None):
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["trace"] = [1]


class Tracing(ToyTeacher):
    def new_optimizers(self, **adam):
        return [Tracer(self.network.parameters(), lr=adam["lr"])]


TRAININGS: dict[str, Callable[[], ToyTeacher]] = {
    "must return one value a row, 4, as loss_B": training(lambda loss_B: loss_B.mean()),
    "training_loss() must be finite": training(lambda loss_B: loss_B / 0),
    "training_loss() must draw from its noise only": training(lambda loss_B: loss_B + torch.rand(())),
    "training_loss() of a sample depends": training(lambda loss_B: loss_B * loss_B.sum()),
    "weight_B must be detached and not negative": of(Indebted),
    "must return one scalar as batch_wide loss_B": of(Undecided),
    "two optimizers have network.": of(Doubly),
    "keeps a list as 'trace'": of(Tracing),
    "no gradient of training_loss()": training(lambda loss_B: loss_B.detach().requires_grad_()),
    "what observe() has learned is lost": of(Forgetful),
}


@pytest.mark.parametrize("sentence", TRAININGS)
def test_training(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(TRAININGS[sentence], EXAMPLES)
