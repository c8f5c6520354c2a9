"""The checks of generators, samplers and augmenters find each fault and say so."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    Augmenter,
    Batch,
    Denoiser,
    DiffusionGenerator,
    Generated,
    InputError,
    Noise,
    Sampler,
    Space,
    Start,
)
from dlmone.testing import check_augmenter, check_generator, check_sampler, toy_teacher
from dlmone.testing.toy import EXAMPLES

from .finds import Finds

TURNS = count()


class Careless(DiffusionGenerator):
    """Goes wrong at one number of steps."""

    wrong: int

    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        if steps != self.wrong:
            return super().generate(batch, noise, steps, earlier)
        found = super().generate(batch, noise, max(steps, 1), earlier)
        return replace(found, tokens_BL=found.tokens_BL.roll(1, 1))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (0, "a generator at 0 steps must raise InputError"),
        (2, "must keep the batch's tokens at given positions in 2 steps too"),
        (3, "must keep the batch's tokens at given positions in 3 steps too"),
    ],
)
def test_generators_are_checked_at_several_numbers_of_steps(finds: Finds, wrong: int, sentence: str) -> None:
    toy = toy_teacher()
    check_generator(toy.new_generator(1490), EXAMPLES)
    careless = Careless(toy.copy_network(), toy.space, 1490)
    careless.wrong = wrong
    with finds(sentence):
        check_generator(careless, EXAMPLES)


class OneCall(Sampler):
    """One call from noise; ``change(state, calls, space, batch)`` is what it returns."""

    time: float = 1000
    pins = True
    refuses = True
    starts = False

    def __init__(self, change: Callable[..., tuple[Tensor, int]], **faults: Any) -> None:
        self.change = change
        vars(self).update(faults)

    def last(self, steps: int) -> None:
        """Find the last of the steps."""

    def look(self, state: Tensor) -> None:
        """Do something with the state of an earlier candidate."""

    def sample(
        self,
        network: Denoiser,
        space: Space,
        batch: Batch,
        noise: Noise,
        steps: int,
        start: Start | None = None,
        earlier: Sequence[Tensor] = (),
    ) -> tuple[Tensor, int]:
        if steps == 0 and self.refuses:
            raise InputError("no steps")
        self.last(steps)
        if start is not None and not self.starts:
            raise InputError("begins at its own time")
        for state in earlier:
            self.look(state)
        given, z = space.embed(batch), noise.normal("z", space.state_shape)
        start = space.pin(z, given, batch) if self.pins else z
        x0 = network.denoise(start, space.schedule.tensor(self.time, len(batch)), batch).x0
        return self.change(space.pin(x0, given, batch), 1, space, batch)


class Crowd(OneCall):
    """Adds to each sample the mean over the batch of its earliest candidates."""

    def __init__(self) -> None:
        super().__init__(self._moved)
        self.mean: Tensor | None = None

    def look(self, state: Tensor) -> None:
        self.mean = state.mean(0)

    def _moved(self, x: Tensor, calls: int, space: Space, batch: Batch) -> tuple[Tensor, int]:
        mean, self.mean = self.mean, None
        return (x if mean is None else space.pin(x + mean, x, batch)), calls


SAMPLERS: dict[str, Sampler] = {
    "must return states (4, 10, 4)": OneCall(lambda x, n, *_: (x[:, 1:], n)),
    "given entries pinned": OneCall(lambda x, n, *_: (x + 1, n)),
    "reports 2 network calls, but made 1": OneCall(lambda x, n, *_: (x, 2)),
    "leaves the trained range": OneCall(lambda x, n, *_: (x, n), time=-1),
    "must see the given entries pinned": OneCall(lambda x, n, *_: (x, n), pins=False),
    "every draw must come from it": OneCall(
        lambda x, n, space, batch: (space.pin(x + torch.rand(()), x, batch), n)
    ),
    "the noise has no effect": OneCall(lambda x, n, space, batch: (space.embed(batch), n)),
    "depends on its batch mates": OneCall(lambda x, n, space, batch: (space.pin(x + x.mean(0), x, batch), n)),
    "a sampler must not begin at 1000": OneCall(lambda x, n, *_: (x, n), starts=True),
    "earlier candidates in place": OneCall(lambda x, n, *_: (x, n), look=lambda state: state.add_(1)),
    "with earlier candidates, a sample depends on its batch mates": Crowd(),
    "0 steps must raise InputError, not IndexError: list index out of range": OneCall(
        lambda x, n, *_: (x, n), refuses=False, last=lambda steps: list(range(steps))[-1]
    ),
    "0 steps must raise InputError": OneCall(lambda x, n, *_: (x, n), refuses=False),
}


@pytest.mark.parametrize("sentence", SAMPLERS)
def test_samplers(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_sampler(SAMPLERS[sentence])


class Nudge(Augmenter):
    """Moves a condition on in the vocabulary; ``change(batch, other, noise)`` is what it returns."""

    def __init__(self, change: Callable[[Batch, Batch, Noise], Batch]) -> None:
        self.change = change

    def augment(self, batch: Batch, space: Space, noise: Noise) -> Batch:
        moved_B1 = (noise.uniform("nudge") < 0.5)[:, None] & ~batch.target_BL
        other = replace(batch, tokens_BL=(batch.tokens_BL + moved_B1.long()) % 10)
        return self.change(batch, other, noise)


def spoilt(batch: Batch, other: Batch, noise: Noise) -> Batch:
    batch.tokens_BL.add_(1)
    return other


def test_a_right_augmenter_passes() -> None:
    check_augmenter(Nudge(lambda batch, other, noise: other))


AUGMENTERS: dict[str, Callable[[Batch, Batch, Noise], Batch]] = {
    "must not change the batch in place": spoilt,
    "must keep ids and order": lambda batch, other, noise: replace(other, ids=other.ids[::-1]),
    "tokens_BL must stay (4, 10) of torch.int64": lambda batch, other, noise: replace(
        other, tokens_BL=other.tokens_BL[:, :-1]
    ),
    "target_BL must stay (4, 10) of torch.bool": lambda batch, other, noise: replace(
        other, target_BL=other.target_BL.long()
    ),
    "without a position to generate": lambda batch, other, noise: replace(
        other, target_BL=torch.zeros_like(other.target_BL)
    ),
    "the same noise gave other conditions": lambda batch, other, noise: replace(
        other, tokens_BL=other.tokens_BL + next(TURNS)
    ),
    "depends on its batch mates": lambda batch, other, noise: replace(
        other, tokens_BL=other.tokens_BL + len(batch)
    ),
    "varied no condition in 20 draws": lambda batch, other, noise: batch,
}


@pytest.mark.parametrize("sentence", AUGMENTERS)
def test_augmenters(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_augmenter(Nudge(AUGMENTERS[sentence]))
