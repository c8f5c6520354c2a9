"""Text without a source: the grammar's questions, one a row or wrapped into rows of equal length."""

from collections.abc import Iterable, Sequence
from itertools import chain, count, islice

from dlmone.core.errors import InputError
from dlmone.core.text.data import DataSource, Example, Split

from .options import TextOptions
from .splits import sentences


class QuestionTextSource(DataSource):
    """Rows of questions. Sources are empty; no two splits share a meaning.

    The grammar has 9,028 training, 512 validation and 1,044 test sentences. More wrapped rows than one turn
    through them gives are cut from further turns, each in another order.
    """

    def __init__(self, options: TextOptions) -> None:
        self.options = options

    def split(self, name: Split) -> Sequence[Example]:
        wanted: int | None = getattr(self.options, name)
        found = (
            self._wrapped(name, wanted) if self.options.rows == "wrapped" else self._sentences(name, wanted)
        )
        return [Example(f"question-text-{name}-{row}", "", text) for row, text in enumerate(found)]

    def _sentences(self, name: Split, wanted: int | None) -> Iterable[str]:
        found = sentences(name, self.options.seed)
        if wanted is not None and wanted > len(found):
            raise InputError(
                f"question_text: {name} = {wanted:,} asks for more sentences than the grammar has, "
                f"{len(found):,}."
            )
        return found[:wanted]

    def _wrapped(self, name: Split, wanted: int | None) -> Iterable[str]:
        """Return rows of running text; what is left of the last turn is dropped."""
        turns = [0] if wanted is None else count()
        texts = chain.from_iterable(sentences(name, self.options.seed, turn) for turn in turns)
        words = (word for text in texts for word in text.split())
        rows = iter(lambda: list(islice(words, self.options.words)), [])
        return islice((" ".join(row) for row in rows if len(row) == self.options.words), wanted)
