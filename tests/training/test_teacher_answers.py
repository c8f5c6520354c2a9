"""dlmone/training/teacher_answers.py: a teacher's wrong answer is named before anything is trained."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from dlmone.core import Noise, PluginError
from dlmone.testing import ToyTeacher
from dlmone.testing.toy import EXAMPLES, ToyOptions
from dlmone.training.teacher_answers import check_answers, check_parts, check_restores, check_training_loss

from ..testing.faults import patched

CPU = torch.device("cpu")
Change = Callable[..., Any]

ANSWERS: dict[str, tuple[str, Change]] = {
    "collate() must return a Batch, not a tuple": ("space.collate", lambda _, right, *__: (right, 0)),
    "text() must return a list of 4 strings, not 3": ("space.text", lambda _, right, *__: right[:-1]),
    "source_text() must return a list of 4 strings, not a dict": (
        "space.source_text",
        lambda _, right, *__: dict.fromkeys(right),
    ),
    "encode() must return a Batch, not None": ("space.encode", lambda *_: None),
    "embed() must return float32 states of shape (4, 10, 4), not float32 of shape (4, 40)": (
        "space.embed",
        lambda _, right, *__: right.flatten(1),
    ),
    "denoise() must return a Denoised, not float32 of shape (4, 10, 4)": (
        "network.denoise",
        lambda _, right, *__: right.x0,
    ),
    "a Denoised whose x0 is of shape (4, 10, 4), not float32 of shape (4, 9, 4)": (
        "network.denoise",
        lambda _, right, *__: replace(right, x0=right.x0[:, 1:]),
    ),
}
LOSSES: dict[str, Change] = {
    "a TrainingLoss, not float32 of shape (4,)": lambda _, right, *__: right.loss_B,
    "one value a row, 4, as loss_B, not float32 of shape ()": lambda _, right, *__: replace(
        right, loss_B=right.loss_B.mean()
    ),
    "one scalar as batch_wide loss_B": lambda _, right, *__: replace(right, batch_wide=True),
    "a loss_B that has a gradient": lambda _, right, *__: replace(right, loss_B=right.loss_B.detach()),
    "one value a row, 4, as weight_B": lambda _, right, *__: replace(right, weight_B=torch.ones(2)),
    "named tensors as logged, not a dict": lambda _, right, *__: replace(right, logged={"error": 1.0}),
    "one value a row, 4, as logged['error'], not float32 of shape ()": lambda _, right, *__: replace(
        right, logged={"error": torch.ones(())}
    ),
    "named tensors as observation, not None": lambda _, right, *__: replace(right, observation=None),
    "training_loss() logs 'loss', a name that pretraining uses itself": lambda _, right, *__: replace(
        right, logged={"loss": right.loss_B.detach()}
    ),
}
RESTORES: dict[str, tuple[str, Change]] = {
    "config() must hold JSON values only: Object of type": ("config", lambda _, right: {"options": CPU}),
    "assets() must return named bytes, not a dict": ("assets", lambda *_: {"words.txt": "a b"}),
    "restore() cannot rebuild the teacher from its own config() and assets(): ": (
        "config",
        lambda *_: {"size": 3},
    ),
    "it is given: network.": ("config", lambda _, right: {**right, "hidden": 12}),
}


@pytest.mark.parametrize("sentence", ANSWERS)
def test_answers(sentence: str) -> None:
    with pytest.raises(PluginError) as error:
        check_answers(patched(*ANSWERS[sentence])(), EXAMPLES, CPU)
    assert sentence in str(error.value)


@pytest.mark.parametrize("sentence", LOSSES)
def test_training_losses(sentence: str) -> None:
    toy = patched("training_loss", LOSSES[sentence])().requires_grad_(True)
    noise = Noise([(0, example.id) for example in EXAMPLES])
    with pytest.raises(PluginError) as error:
        check_training_loss(toy, toy.training_loss(toy.space.collate(EXAMPLES), noise), len(EXAMPLES))
    assert sentence in str(error.value)


@pytest.mark.parametrize("sentence", RESTORES)
def test_restores(sentence: str) -> None:
    with pytest.raises(PluginError) as error:
        check_restores(patched(*RESTORES[sentence])())
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("schedule", "whose space.schedule is a NoiseSchedule, not None"),
        ("state_shape", "is a tuple, not a list"),
    ],
)
def test_parts(part: str, sentence: str) -> None:
    toy = ToyTeacher.build(ToyOptions(), EXAMPLES)
    check_parts(toy, ToyTeacher)
    setattr(toy.space, part, None if part == "schedule" else [10, 4])
    with pytest.raises(PluginError, match=sentence):
        check_parts(toy, ToyTeacher)


def test_a_right_teacher_passes_and_stays_as_it_is() -> None:
    toy = ToyTeacher.build(ToyOptions(), EXAMPLES)
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    state = torch.get_rng_state()
    check_answers(toy, EXAMPLES, CPU)
    check_restores(toy)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in toy.state_dict().items())
