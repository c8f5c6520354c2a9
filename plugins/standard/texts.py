"""The strings that are scored, and their words.

Markers are no text: ``[CLS]``, ``[SEP]`` and ``[PAD]`` go from sources, references and outputs alike, and
runs of white space become one space. ``[MASK]`` stays as a word: the model wrote it. An unknown token stays
as a word too, but as one of its own in sources, references and outputs: it never matches.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from dlmone.core.text.evaluator import Sample
from dlmone.plugins.text.words import without_spaces, words_of

_MARKERS = re.compile(r"\[(?:CLS|SEP|PAD)\]")
_UNKNOWN = re.compile(r"\[UNK\]|<unk>")
#: What stands for an unknown token in the three kinds of texts: characters that no text has.
SOURCE, REFERENCE, OUTPUT = "\ue000", "\ue001", "\ue002"


def clean_text(text: str, unknown: str) -> str:
    """Return ``text`` without markers and superfluous white space, and its unknown tokens as ``unknown``."""
    return " ".join(_UNKNOWN.sub(f" {unknown} ", _MARKERS.sub(" ", text)).split())


def clean(sample: Sample) -> Sample:
    """Clean each text of a sample."""
    return replace(
        sample,
        source=clean_text(sample.source, SOURCE),
        reference=clean_text(sample.reference, REFERENCE),
        candidates=tuple(clean_text(text, OUTPUT) for text in sample.candidates),
    )


@cache
def tokenizer(name: str) -> Callable[[str], str]:
    """Return one of sacreBLEU's tokenisers, or ours: text in, words joined by single spaces out."""
    if name == "unicode":
        return lambda text: " ".join(words_of(text, signs=True))
    from sacrebleu.metrics.bleu import BLEU

    tokenize: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    return tokenize


def split_words(text: str, tokenize: str, *, lowercase: bool = False) -> list[str]:
    """Return the words of a clean text."""
    return tokenizer(tokenize)(text.lower() if lowercase else text).split()


def blind_to(texts: Sequence[str], tokenize: str) -> str | None:
    """Return in a clause why a tokeniser does not see how such texts are written; None if it does."""
    reason = without_spaces(texts) if tokenize in ("13a", "intl", "none") else None
    return reason and f"its tokeniser {tokenize!r} splits words at white space, and {reason}"
