"""The Evaluator contract: samples in, scores out that carry their own definition.

Two further contracts are for evaluators that can do more: `PairMetric` (usable as the utility of a candidate
selector) and `CorpusMetric` (its interval comes from resampled sums, as it is no mean over examples).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """A model's outputs for one example.

    ``candidates`` are independent samples for the same source, in the order of their generation;
    single-sample metrics read the first. ``source`` and ``reference`` went through the same
    tokenise-and-decode round trip as the candidates, as in DiffuSeq's evaluation.
    """

    id: str
    source: str
    reference: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its definition.

    ``signature`` says everything that changes the number (definition, tokeniser, smoothing, number of
    candidates, library versions) as ``key:value`` fields joined by ``|``, as sacreBLEU's.
    ``per_sample`` holds one value an example where the score is a mean over examples. ``measures`` says how
    a report presents it: ``quality`` of single outputs, ``diversity`` of the candidates for one source, or
    ``health``, a sign of degeneration that no figure compares (copies, repetition, length). ``corrects``
    names another score of the same evaluator that outputs can improve without being better; this one is that
    score without what such outputs gain, and reports set it beside.
    """

    name: str
    value: float
    signature: str
    direction: Literal["higher", "lower", "neither"]
    per_sample: tuple[float, ...] | None = None
    measures: Literal["quality", "diversity", "health"] = "quality"
    corrects: str | None = None


class Evaluator(ABC):
    """Scores samples. A plugin's evaluator is constructed with its options: ``Evaluator(options)``."""

    #: The fewest candidates that the evaluator requires of a sample.
    candidates: int = 1

    @abstractmethod
    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Return the scores of ``samples`` (at least one sample).

        Raises:
            InputError: the samples do not fit (too few candidates, no samples).
        """

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return why the scores don't see how such texts are written, in a clause; None if they do.

        A caller shows it as a warning: a metric of words split at spaces sees one word in a Chinese sentence.

        Args:
            texts: references, and sources where there are some.
        """
        return None


@runtime_checkable
class PairMetric(Protocol):
    """What an evaluator offers whose metric compares one text with another: BLEU, ROUGE-L, BERTScore."""

    def score_pairs(
        self, outputs: Sequence[str], references: Sequence[str]
    ) -> Sequence[float] | NDArray[np.float64]:
        """Return one value a pair, [N], larger where ``outputs[n]`` is closer to ``references[n]``.

        Both sides are candidates of samples. The metric cleans them as `Evaluator.evaluate` does, and returns
        the value that a sample would have. Many pairs share a text.
        """


@runtime_checkable
class CorpusMetric(Protocol):
    """What an evaluator offers with a score that is a function of sums over samples: corpus BLEU, TER.

    ``from_statistics(corpus_statistics(samples).sum(0))`` is that score's value; of several such scores, the
    values by name.
    """

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return the sufficient statistics of each sample, [N, S]."""

    def from_statistics(self, totals: NDArray[np.float64]) -> float | Mapping[str, float]:
        """Return the score, or scores, of a corpus whose statistics add up to ``totals``, [S]."""


def require_candidates(samples: Sequence[Sample], metric: str, candidates: int = 1) -> None:
    """Check that there are samples, each with at least ``candidates`` candidates.

    Raises:
        InputError: there are none, or one has too few; the sentence names ``metric``.
    """
    if not samples:
        raise InputError(f"{metric} needs at least one sample, got none.")
    for sample in samples:
        if len(sample.candidates) < candidates:
            found = len(sample.candidates)
            raise InputError(f"{metric} needs {candidates} candidate(s) a sample; {sample.id!r} has {found}.")
