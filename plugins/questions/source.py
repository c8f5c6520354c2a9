"""Serve as many pairs of the grammar as the options request."""

from collections.abc import Sequence

from dlmone.core.errors import InputError
from dlmone.core.text.data import DataSource, Example, Split

from .options import SourceOptions
from .splits import pairs


class QuestionsSource(DataSource):
    """Question paraphrases: a source is a question, its target another way to ask the same.

    The training split contains every word. No two splits share a meaning (intent and fillers). Training
    pairs are distinct, and so are test and validation sources. The grammar has 27,084 training, 512
    validation and 1,044 test pairs in English; 4,056, 76 and 156 in French; 4,176, 80 and 160 in Chinese.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.options = options

    def split(self, name: Split) -> Sequence[Example]:
        wanted: int = getattr(self.options, name)
        language = self.options.language
        found = pairs(name, self.options.seed, language)
        if wanted > len(found):
            raise InputError(
                f"questions: {name} = {wanted:,} asks for more pairs than the grammar has, {len(found):,}."
            )
        ids = f"questions-{name}" if language == "en" else f"questions-{language}-{name}"
        return [Example(f"{ids}-{row}", *pair.texts()) for row, pair in enumerate(found[:wanted])]
