"""Clean texts for scoring as DiffuSeq's script does, without the tokeniser's markers.

Outer white space is removed before the markers, so the spaces next to ``[CLS]`` and ``[SEP]`` remain:
``"[CLS] why? [SEP]"`` becomes ``" why? "``. Nothing is lower-cased, and ``[UNK]`` and ``[MASK]`` are words.
Cleaning a clean text leaves its words unchanged; without outer white space it leaves the text unchanged.
"""

import re
from dataclasses import replace

from dlmone.core.text.evaluator import Sample

#: What a tokeniser writes for anything that its vocabulary lacks.
UNKNOWN = re.compile(r"\[UNK\]|<unk>")


def clean_text(text: str) -> str:
    """Clean a source or a reference: remove ``[SEP]`` and ``[CLS]``."""
    return text.strip().replace("[SEP]", "").replace("[CLS]", "")


def clean_output(text: str) -> str:
    """Clean a model's output: remove ``[SEP]``, ``[CLS]`` and ``[PAD]``."""
    return clean_text(text).replace("[PAD]", "")


def clean(sample: Sample) -> Sample:
    """Clean each text of a sample by the rule for its kind."""
    return replace(
        sample,
        source=clean_text(sample.source),
        reference=clean_text(sample.reference),
        candidates=tuple(map(clean_output, sample.candidates)),
    )
