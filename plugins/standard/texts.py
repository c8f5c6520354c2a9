"""The strings that are scored, and their words.

Markers are no text: ``[CLS]``, ``[SEP]`` and ``[PAD]`` go from sources, references and outputs alike, and
runs of white space become one space. ``[UNK]`` and ``[MASK]`` stay as words: the model wrote them.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from dlmone.core.evaluator import Sample

_MARKERS = re.compile(r"\[(?:CLS|SEP|PAD)\]")


def clean_text(text: str) -> str:
    """Return ``text`` without markers and without superfluous white space."""
    return " ".join(_MARKERS.sub(" ", text).split())


def clean(sample: Sample) -> Sample:
    """Clean each text of a sample."""
    return replace(
        sample,
        source=clean_text(sample.source),
        reference=clean_text(sample.reference),
        candidates=tuple(map(clean_text, sample.candidates)),
    )


@cache
def tokenizer(name: str) -> Callable[[str], str]:
    """Return one of sacreBLEU's tokenisers: text in, words joined by single spaces out."""
    from sacrebleu.metrics.bleu import BLEU

    tokenize: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    return tokenize


def split_words(text: str, tokenize: str, *, lowercase: bool = False) -> list[str]:
    """Return the words of a clean text."""
    return tokenizer(tokenize)(text.lower() if lowercase else text).split()
