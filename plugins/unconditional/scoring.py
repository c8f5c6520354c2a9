"""Words, n-grams and signatures, which both evaluators share."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

from dlmone.core.text.evaluator import Sample, Score, require_candidates

#: A word, or a mark beside it; markers of a tokenizer are no text.
_WORD = re.compile(r"\w+|[^\w\s]")
_MARKER = re.compile(r"\[(?:CLS|SEP|PAD)\]|<\|endoftext\|>")


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case."""
    return _WORD.findall(_MARKER.sub(" ", text).lower())


def first_words(samples: Sequence[Sample], metric: str) -> list[list[str]]:
    """Return the words of each sample's first candidate.

    Raises:
        InputError: there are no samples, or one has no candidate.
    """
    require_candidates(samples, metric)
    return [words_of(sample.candidates[0]) for sample in samples]


def mean_score(
    name: str,
    values: Sequence[float],
    direction: Literal["higher", "lower", "neither"],
    measures: Literal["quality", "diversity", "health"],
    **definition: object,
) -> Score:
    """Return the mean of one value a sample, with its signature."""
    fields = {
        "family": "unconditional",
        "metric": name,
        **definition,
        "tok": "words-and-marks",
        "case": "lower",
        "candidates": 1,
        "dlmone": version("dlmone"),
    }
    signature = "|".join(f"{key}:{value}" for key, value in fields.items())
    return Score(name, sum(values) / len(values), signature, direction, tuple(map(float, values)), measures)
