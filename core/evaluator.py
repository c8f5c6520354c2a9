"""The Evaluator contract: samples in, scores that carry their own definition out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model wrote for one example.

    ``candidates`` are independent draws for the same source, in drawing order; single-sample metrics
    read the first. ``source`` and ``reference`` went through the same tokenise-and-decode round trip
    as the candidates, as in DiffuSeq's evaluation.
    """

    id: str
    source: str
    reference: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its definition.

    ``signature`` says everything that changes the number (definition, tokeniser, smoothing, number of
    candidates, library versions) as ``key:value`` fields joined by ``|``, in sacreBLEU's manner.
    ``per_sample`` holds one value an example where the score is a mean over examples.
    """

    name: str
    value: float
    signature: str
    direction: Literal["higher", "lower", "neither"]
    per_sample: tuple[float, ...] | None = None


class Evaluator(ABC):
    """Scores samples. A plugin's evaluator is constructed with its options: ``Evaluator(options)``."""

    #: The fewest candidates a sample must have for the evaluator to say anything.
    candidates: int = 1

    @abstractmethod
    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Return the scores of ``samples`` (at least one sample).

        Raises:
            InputError: the samples do not fit (too few candidates, no samples).
        """
