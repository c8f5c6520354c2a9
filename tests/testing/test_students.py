"""dlmone.testing.check_teacher finds each fault of the students that a teacher makes, and says so."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Batch, DiffusionGenerator, Noise, Point, Space, Start
from dlmone.testing import ToyTeacher, check_teacher, toy_teacher
from dlmone.testing.toy import EXAMPLES, ToyNetwork

from .faults import of, patched
from .finds import Finds


class Unpinned(DiffusionGenerator):
    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return self.network.denoise(z, self.space.schedule.tensor(self.t_init, len(batch)), batch).x0


class Overridden(DiffusionGenerator):
    """Samples otherwise than it is trained."""

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return super().one_step(batch, 2 * z)


class Misnamed(DiffusionGenerator):
    """Its exported graph would give the batch's own tokens."""

    def one_step_tokens(self, batch, noise):
        return batch.tokens_BL


class Undeclared(DiffusionGenerator):
    """Its exported graph would need an input that it does not have."""

    def one_step_tokens(self, batch, noise):
        noise.uniform("coin")
        return self.generate(batch, noise).tokens_BL


class Rushed(DiffusionGenerator):
    """Trained in one call, it samples otherwise in several."""

    def roll_out(self, batch, noise, calls, steps):
        e = super().roll_out(batch, noise, calls, steps)
        return e if steps == 1 else self.space.pin(e / 2, e, batch)


class Countdown(DiffusionGenerator):
    """Looks for the last of its steps."""

    def generate(self, batch, noise, steps=1, earlier=()):
        return super().generate(batch, noise, 1 + list(range(steps))[-1], earlier)


@dataclass(frozen=True)
class CrowdedStart(Start):
    def state(self, space: Space, z: Tensor) -> Tensor:
        return Start.state(self, space, z + z.mean(0))


class Crowded(DiffusionGenerator):
    @property
    def start(self) -> Start:
        return CrowdedStart(self.t_init)


class Scaled(DiffusionGenerator):
    """Has a weight beside those of its network."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.scale = nn.Parameter(torch.ones(1))


@dataclass(frozen=True)
class DoubledStart(Start):
    def state(self, space: Space, z: Tensor) -> Tensor:
        return 2 * Start.state(self, space, z)


class Doubled(DiffusionGenerator):
    @property
    def start(self) -> Start:
        return DoubledStart(self.t_init)


class Moody(ToyTeacher):
    """Makes another kind of student when it has been built than when it has been restored."""

    student: type[DiffusionGenerator] = DiffusionGenerator

    @classmethod
    def build(cls, *args: Any) -> Self:
        teacher = super().build(*args)
        teacher.student = Doubled
        return teacher

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        return self.student(copy.deepcopy(self.network), self.space, t_init, unit_input)


class Wider(Moody):
    """Makes students of another size when it has been built than when it has been restored."""

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        options = replace(self.options, hidden=16 if self.student is Doubled else 8)
        return DiffusionGenerator(ToyNetwork(options, len(self.space.words)), self.space, t_init, unit_input)


class Blending(DiffusionGenerator):
    """Begins its samples at the reference."""

    def input_of(self, batch: Batch, given: Tensor, noise: Noise, k: int, steps: int) -> Point:
        point = super().input_of(batch, given, noise, k, steps)
        return replace(point, e_t=self.space.pin(point.e_t + self.space.embed(batch), given, batch))

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return self.roll_out(batch, Noise([(0, id) for id in batch.ids]), 1, 1)


def bound(student: DiffusionGenerator) -> DiffusionGenerator:
    """Bind a student to its network in a closure, which copying it does not reach."""
    vars(student)["roll_out"] = lambda *args: DiffusionGenerator.roll_out(student, *args)
    return student


STUDENTS: dict[str, Callable[[], ToyTeacher]] = {
    "what is generated depends on the batch's reference": patched(
        "new_generator", lambda toy, right, t_init, *__: Blending(right.network, toy.space, t_init)
    ),
    "must share the teacher's space": patched(
        "new_generator",
        lambda _, right, t_init, *__: DiffusionGenerator(right.network, toy_teacher().space, t_init),
    ),
    "new_generator() must copy φ": patched(
        "new_generator", lambda toy, _, t_init, *__: DiffusionGenerator(toy.network, toy.space, t_init)
    ),
    "one_step() must return the condition pinned": patched(
        "new_generator", lambda toy, right, t_init, *__: Unpinned(right.network, toy.space, t_init)
    ),
    "a student must be trained as it samples": patched(
        "new_generator", lambda toy, right, t_init, *__: Overridden(right.network, toy.space, t_init)
    ),
    "one_step_tokens() names other tokens": patched(
        "new_generator", lambda toy, right, t_init, *__: Misnamed(right.network, toy.space, t_init)
    ),
    "name='coin', shape=()), which its generator's `draws` don't name": patched(
        "new_generator", lambda toy, right, t_init, *__: Undeclared(right.network, toy.space, t_init)
    ),
    "which call 1 of 3 is not": patched(
        "new_generator", lambda toy, right, t_init, *__: Rushed(right.network, toy.space, t_init)
    ),
    "a student at 0 steps must raise InputError, not IndexError": patched(
        "new_generator", lambda toy, right, t_init, *__: Countdown(right.network, toy.space, t_init)
    ),
    "what is generated for a sample depends on its batch mates": patched(
        "new_generator", lambda toy, right, t_init, *__: Crowded(right.network, toy.space, t_init)
    ),
    "student holds space and network only; ['scale'] would be lost": patched(
        "new_generator", lambda toy, right, t_init, *__: Scaled(right.network, toy.space, t_init)
    ),
    "must generate with the network it is given": patched(
        "new_generator", lambda _, right, *__: bound(right)
    ),
    "loading loses what new_generator() makes": of(Moody),
    "must take a student's weights": of(Wider),
}


@pytest.mark.parametrize("sentence", STUDENTS)
def test_students(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(STUDENTS[sentence], EXAMPLES)
