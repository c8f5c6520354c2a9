"""The Exporter contract: a student's graph, written for a runtime without dlmone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from dlmone.core import OneStepGraph


class Exporter(ABC):
    """Writes graphs in one format. A plugin's exporter is constructed with its options."""

    @abstractmethod
    def write(self, graph: OneStepGraph, inputs: Sequence[Tensor], folder: Path) -> str:
        """Write a graph for any number of rows.

        Args:
            graph: on the CPU, in evaluation mode.
            inputs: an example of the inputs of its ``forward``, of two rows.
            folder: where the file belongs.

        Returns:
            the name of the file in ``folder`` that a runtime loads.

        Raises:
            InputError: a library is not installed, or the format can't express the graph.
        """
