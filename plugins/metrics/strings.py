"""The strings that are scored: texts without the tokeniser's markers, cleaned as DiffuSeq's script does.

Outer white space goes first and the markers after it, so that the spaces beside ``[CLS]`` and ``[SEP]`` stay:
``"[CLS] why? [SEP]"`` becomes ``" why? "``. Nothing is lower-cased, and ``[UNK]`` and ``[MASK]`` are words.
Cleaning a clean text changes no word of it, and nothing at all where no outer white space is left.
"""

from dataclasses import replace

from dlmone.core.evaluator import Sample


def clean_text(text: str) -> str:
    """Clean a source or a reference: remove ``[SEP]`` and ``[CLS]``."""
    return text.strip().replace("[SEP]", "").replace("[CLS]", "")


def clean_output(text: str) -> str:
    """Clean what a model wrote: remove ``[SEP]``, ``[CLS]`` and ``[PAD]``."""
    return clean_text(text).replace("[PAD]", "")


def clean(sample: Sample) -> Sample:
    """Clean each text of a sample by the rule for its kind."""
    return replace(
        sample,
        source=clean_text(sample.source),
        reference=clean_text(sample.reference),
        candidates=tuple(map(clean_output, sample.candidates)),
    )
