"""What the evaluators share: the check of their samples, signatures, and the two kinds of score.

A score is either a mean of one value a sample (`mean_score`) or a function of sums over the corpus
(`CorpusEvaluator`).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlmone.core.text.evaluator import Evaluator, Sample, Score, require_candidates

from .texts import clean

Direction = Literal["higher", "lower", "neither"]


def checked(samples: Sequence[Sample], metric: str, candidates: int = 1) -> list[Sample]:
    """Return the samples with their texts cleaned, each with at least ``candidates`` candidates.

    Raises:
        InputError: there are no samples, or one has too few candidates.
    """
    require_candidates(samples, metric, candidates)
    return [clean(sample) for sample in samples]


@cache
def _version(distribution: str) -> str:
    # A look-up reads the whole installation, and a validation makes one for each score.
    return metadata.version(distribution)


def signature(
    metric: str,
    definition: Mapping[str, object],
    *,
    candidates: int = 1,
    embedded: str = "",
    library: str = "sacrebleu",
) -> str:
    """Return ``family|metric|definition...|candidates|...|dlmone``.

    Args:
        metric: name of the score.
        definition: what changes the number.
        candidates: how many of a sample's candidates are read.
        embedded: the library's own signature and version, word for word, to be compared with others'.
        library: the distribution that splits words (and counts), whose version is named where nothing is
            embedded.
    """
    fields = {"family": "standard", "metric": metric, **definition, "candidates": candidates}
    parts = [f"{key}:{value}" for key, value in fields.items()]
    return "|".join([*parts, embedded or f"{library}:{_version(library)}", f"dlmone:{_version('dlmone')}"])


def mean_score(
    metric: str,
    values: Sequence[float],
    direction: Direction,
    definition: Mapping[str, object],
    *,
    candidates: int = 1,
    library: str = "sacrebleu",
) -> Score:
    """Return the mean of one value a sample, with the signature that `signature` makes of the rest.

    A score of several candidates measures their diversity.
    """
    text = signature(metric, definition, candidates=candidates, library=library)
    measures: Literal["quality", "diversity"] = "diversity" if candidates > 1 else "quality"
    return Score(metric, fmean(values), text, direction, tuple(map(float, values)), measures)


class CorpusEvaluator(Evaluator):
    """An evaluator with one score that is a function of sums over the samples, and no mean of them.

    Such a score has no ``per_sample``. A bootstrap draws rows of `corpus_statistics` with replacement, adds
    them up and takes `from_statistics` of the sum (Koehn, 2004): exact, and no text is read twice. A paired
    test draws the same rows of both systems.
    """

    name: str
    direction: Direction = "higher"

    @abstractmethod
    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return the sufficient statistics of each sample, [N, S].

        Raises:
            InputError: there are no samples, or one has no candidate.
        """

    @abstractmethod
    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        """Return the score of a corpus whose statistics add up to ``totals``, [S]."""

    @abstractmethod
    def signature(self) -> str:
        """Return what defines the score."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample.

        Raises:
            InputError: there are no samples, or one has no candidate.
        """
        value = self.from_statistics(self.corpus_statistics(samples).sum(axis=0))
        return [Score(self.name, value, self.signature(), self.direction)]
