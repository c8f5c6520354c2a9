"""The checks of samplers, evaluators and data sources find each fault and say so."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlmone.core import (
    Augmenter,
    Batch,
    DataSource,
    Denoiser,
    DiffusionGenerator,
    Evaluator,
    Example,
    Generated,
    InputError,
    Noise,
    Sample,
    Sampler,
    Score,
    Space,
    Split,
    Start,
)
from dlmone.registry import ForeignSamples, SampleReader
from dlmone.testing import (
    check_augmenter,
    check_data_source,
    check_evaluator,
    check_generator,
    check_sample_reader,
    check_sampler,
    toy_teacher,
)
from dlmone.testing.toy import EXAMPLES

Finds = Callable[[str], AbstractContextManager[object]]
TURNS = count()


# -- generators -----------------------------------------------------------------------------------------


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


# -- samplers -------------------------------------------------------------------------------------------


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


# -- augmenters -----------------------------------------------------------------------------------------


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


# -- evaluators -----------------------------------------------------------------------------------------


SAMPLES = [Sample("a", "s", "r", ("one", "two words", "")), Sample("b", "s", "r", ("x y z", "y", "z z"))]


class Words(Evaluator):
    """The mean number of words of first candidates; ``change(scores, samples)`` is what it returns."""

    def __init__(self, change: Callable[..., list[Score]], refuses: bool = True) -> None:
        self.change, self.refuses = change, refuses

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if self.refuses and not all([samples, *(sample.candidates for sample in samples)]):
            raise InputError("nothing to score")
        counts = tuple(float(len("".join(sample.candidates[:1]).split())) for sample in samples)
        mean = sum(counts) / max(len(counts), 1)
        return self.change([Score("words", mean, "metric:words|tok:space", "neither", counts)], samples)


def altered(**fields: Any) -> Words:
    return Words(lambda scores, _: [replace(score, **fields) for score in scores])


def test_a_right_evaluator_passes() -> None:
    check_evaluator(altered(), SAMPLES)


EVALUATORS: dict[str, Words] = {
    "returned no score": Words(lambda *_: []),
    "two scores have one name": Words(lambda scores, _: scores * 2),
    "must be a finite number": altered(value=float("nan"), per_sample=None),
    "direction must be one of": altered(direction="up"),
    "key:value fields": altered(signature="words of an output"),
    "one value a sample, 2, not 1": altered(per_sample=(2.0,)),
    "but the mean of per_sample is 2.0": altered(value=3.0),
    "gave other scores the second time": Words(
        lambda scores, _: [replace(scores[0], value=next(TURNS), per_sample=None)]
    ),
    "changes with the number of candidates": Words(
        lambda scores, samples: [replace(scores[0], value=len(samples[0].candidates), per_sample=None)]
    ),
    "the order of the samples changes": Words(
        lambda scores, _: [replace(scores[0], value=scores[0].per_sample[0], per_sample=None)]
    ),
    "no samples must raise InputError": Words(lambda scores, _: scores, refuses=False),
}


@pytest.mark.parametrize("sentence", EVALUATORS)
def test_evaluators(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_evaluator(EVALUATORS[sentence], SAMPLES)


class Compared(Words):
    """`Words` that also compares pairs; ``score`` is the value of a pair among ``n``."""

    def __init__(self, score: Callable[[str, int], float]) -> None:
        super().__init__(lambda scores, _: scores)
        self.score = score

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        return [self.score(output, len(outputs)) for output in outputs]


class Summed(Words):
    """The number of words of a whole corpus, by sums: of ``rows`` samples, ``factor`` times."""

    def __init__(self, rows: int | None = None, factor: float = 1) -> None:
        self.rows, self.factor = rows, factor
        super().__init__(self._whole)

    def _whole(self, scores: list[Score], samples: Sequence[Sample]) -> list[Score]:
        return [replace(scores[0], value=scores[0].value * len(samples), per_sample=None)]

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        counts = [float(len(sample.candidates[0].split())) for sample in samples]
        return np.array(counts)[: self.rows, None]

    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        return float(totals[0]) * self.factor


def test_right_evaluators_that_do_more_pass() -> None:
    check_evaluator(Compared(lambda output, n: float(len(output))), SAMPLES)
    check_evaluator(Summed(), SAMPLES)


MORE: dict[str, Words] = {
    "one finite number a pair": Compared(lambda output, n: float("inf")),
    "another value beside other pairs": Compared(lambda output, n: n),
    "must have one row a sample": Summed(rows=1),
    "from_statistics() of the sums is 8.0, but the score is 4.0": Summed(factor=2),
}


@pytest.mark.parametrize("sentence", MORE)
def test_evaluators_that_do_more(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_evaluator(MORE[sentence], SAMPLES)


# -- data -----------------------------------------------------------------------------------------------


class Source(DataSource):
    """Two examples a split; ``change(examples, calls)`` is what it returns."""

    def __init__(self, change: Callable[[list[Any], int], list[Any]]) -> None:
        self.change, self.calls = change, 0

    def split(self, name: Split) -> Sequence[Example]:
        self.calls += 1
        return self.change([Example(f"{name}-{row}", "a", "b") for row in range(2)], self.calls)


def test_a_right_source_passes() -> None:
    check_data_source(Source(lambda examples, _: examples))


SOURCES: dict[str, Source] = {
    "split 'train' is empty": Source(lambda *_: []),
    "must be an Example, not tuple": Source(lambda *_: [("a", "b")]),
    "train[0].target must be a string, not NoneType": Source(lambda *_: [Example("a", "b", None)]),  # type: ignore[arg-type]
    "train[1] and train[0] share the id 'train-0'": Source(lambda examples, _: examples[:1] * 2),
    "valid[0] and train[0] share the id 'a'": Source(lambda *_: [Example("a", "b", "c")]),
    "must not change from one call to the next": Source(lambda examples, calls: examples[:: (-1) ** calls]),
}


@pytest.mark.parametrize("sentence", SOURCES)
def test_data_sources(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_data_source(SOURCES[sentence])


class Reader(SampleReader):
    """Reads files of one line, which is a candidate."""

    label = "lines (*.txt)"

    def __init__(self, *, any_file=False, ids="ab", texts=(("x",), ("y",))):
        self.any_file, self.ids, self.texts = any_file, ids, texts

    def find(self, path):
        return [path] if self.any_file or path.suffix == ".txt" else []

    def read(self, files):
        return ForeignSamples([Sample(i, "s", "r", c) for i, c in zip(self.ids, self.texts, strict=True)])


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [
        (Reader(any_file=True), "takes a Python file"),
        (Reader(ids="aa"), "share an id"),
        (Reader(texts=(("x",), ("y", "z"))), "equally many"),
        (Reader(ids="", texts=()), "no sample"),
    ],
)
def test_sample_readers(tmp_path, reader, sentence):
    check_sample_reader(Reader(), tmp_path / "a.txt")
    with pytest.raises(AssertionError, match="returned no file"):
        check_sample_reader(Reader(), tmp_path / "a.csv")
    with pytest.raises(AssertionError, match=sentence):
        check_sample_reader(reader, tmp_path / "a.txt")
