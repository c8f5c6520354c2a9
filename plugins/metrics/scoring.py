"""Check samples, and compute means with their signatures, for all evaluators here."""

import functools
import importlib.metadata
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from dlmone.core.text.evaluator import Evaluator, Sample, Score, require_candidates
from dlmone.plugins.text.words import without_spaces

from .options import NoOptions
from .strings import clean

#: A package's installed version; each look-up reads its metadata's file.
version = functools.cache(importlib.metadata.version)


class SpacedEvaluator(Evaluator):
    """An evaluator whose words are split at white space."""

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return that the texts have no spaces, if so."""
        reason = without_spaces(texts)
        return reason and f"it splits words at white space, and {reason}"


class PlainEvaluator(SpacedEvaluator):
    """An evaluator of first candidates that takes no options."""

    def __init__(self, options: NoOptions) -> None:
        """Accept the empty options that every evaluator is constructed with."""


def checked(samples: Sequence[Sample], metric: str, candidates: int = 1) -> list[Sample]:
    """Return the samples with their texts cleaned, each with at least ``candidates`` candidates.

    Raises:
        InputError: there are no samples, or one has too few candidates.
    """
    require_candidates(samples, metric, candidates)
    return [clean(sample) for sample in samples]


def mean_score(
    metric: str,
    values: Sequence[float],
    direction: Literal["higher", "lower", "neither"],
    *,
    measures: Literal["quality", "diversity", "health"] = "quality",
    family: str = "diffuseq",
    candidates: int = 1,
    libraries: Sequence[str] = (),
    **definition: object,
) -> Score:
    """Return the mean of one value per sample.

    The signature is ``family|metric|definition...|candidates|libraries...|dlmone``; ``libraries`` are the
    distributions whose versions can change the number.
    """
    fields = {"family": family, "metric": metric, **definition, "candidates": candidates}
    fields |= {name: version(name) for name in (*libraries, "dlmone")}
    signature = "|".join(f"{key}:{value}" for key, value in fields.items())
    return Score(metric, fmean(values), signature, direction, tuple(map(float, values)), measures)
