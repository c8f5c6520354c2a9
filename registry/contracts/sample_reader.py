"""The SampleReader contract: samples that another tool wrote, read so that they can be scored here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlmone.core.text.evaluator import Sample


@dataclass(frozen=True, slots=True)
class ForeignSamples:
    """Samples of one system, and the seeds that they were drawn with (None if the files don't say)."""

    samples: list[Sample]
    seeds: tuple[int, ...] | None = None


class SampleReader(ABC):
    """Reads one tool's files of samples. A plugin's reader is constructed without arguments.

    Attributes:
        label: what the files are, in the plural and with their pattern, for errors.
    """

    label: str

    @abstractmethod
    def find(self, path: Path) -> list[Path]:
        """Return the files of this kind at an existing ``path``, in order.

        For a folder these are the ones in it; for a file, the file itself. There may be none.
        """

    @abstractmethod
    def read(self, files: Sequence[Path]) -> ForeignSamples:
        """Return the samples of one system from the files that `find` returned (at least one).

        Raises:
            InputError: a file is malformed, or the files don't belong together; the sentence names file
                and line.
        """
