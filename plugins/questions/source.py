"""The data source: as many pairs of the grammar as the options ask for."""

from collections.abc import Sequence

from dlmone.core.data import DataSource, Example, Split
from dlmone.core.errors import InputError

from .options import SourceOptions
from .splits import pairs


class QuestionsSource(DataSource):
    """Question paraphrases: a source is a question, its target another way to ask the same.

    Training holds every word, and no meaning (intent and fillers) of the other two splits, which share none
    either. No training pair comes twice, and no test or validation source does. The grammar has 27,084
    training, 512 validation and 1,044 test pairs to draw from.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.options = options

    def split(self, name: Split) -> Sequence[Example]:
        wanted: int = getattr(self.options, name)
        found = pairs(name, self.options.seed)
        if wanted > len(found):
            raise InputError(
                f"questions: {name} = {wanted:,} asks for more pairs than the grammar has, {len(found):,}."
            )
        return [Example(f"questions-{name}-{row}", *pair.texts()) for row, pair in enumerate(found[:wanted])]
