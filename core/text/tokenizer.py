"""Define the tokenizer builder: what makes a model's vocabulary from its training texts."""

from abc import ABC, abstractmethod
from collections.abc import Iterable


class TokenizerBuilder(ABC):
    """Builds or loads a tokenizer. A plugin's builder is constructed with its options: ``Builder(options)``.

    Its result is the text of a ``tokenizer.json`` of Hugging Face's ``tokenizers``. The text is saved with
    the model, so that loading a model needs no tokenizer plugin.
    """

    @abstractmethod
    def build(self, texts: Iterable[str]) -> str:
        """Return a ``tokenizer.json``; equal texts give equal results.

        Markers (padding, unknown, start, end) that the result lacks are added by the teacher that uses it.

        Args:
            texts: the training texts, sources and targets; a builder that loads one need not read them.

        Raises:
            InputError: there is no such tokenizer, it is malformed, or the texts are too few.
        """

    def size(self) -> int | None:
        """Return the number of tokens where it is known without the texts, for estimates."""
        return None
