"""Examples: the pairs of texts that a diffusion language model learns from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True)
class Example:
    """One pair. ``source`` is empty for unconditional data.

    ``id`` is unique in its data source and stable from run to run: generation noise is keyed by it.
    """

    id: str
    source: str
    target: str


class DataSource(ABC):
    """Three splits of examples. A plugin's source is constructed with its options: ``Source(options)``."""

    @abstractmethod
    def split(self, name: Split) -> Sequence[Example]:
        """Return the examples of a split, in an order that never changes.

        Raises:
            InputError: the split is missing, empty or malformed; the sentence names file and line.
        """
