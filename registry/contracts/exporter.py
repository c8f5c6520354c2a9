"""The Exporter contract: a student's graph, written for a runtime without dlmone."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from dlmone.core import InputError, OneStepGraph

#: An exported graph, loaded: from the inputs of `OneStepGraph.forward` to its output, all on the CPU.
RunGraph = Callable[..., Tensor]


class Exporter(ABC):
    """Writes graphs in one format. A plugin's exporter is constructed with its options.

    Attributes:
        precision: of the weights in its graphs.
        runtime: the installed distribution that `load` runs graphs with; None if it can't.
    """

    precision: str = "float32"
    runtime: str | None = None

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

    def load(self, file: Path, threads: int) -> RunGraph:
        """Load a graph that `write` wrote, to compare it with PyTorch's answers and times.

        Args:
            file: the file that `write` named.
            threads: how many of the CPU the runtime uses.

        Raises:
            InputError: a library is not installed, the file is broken, or there is no runtime.
        """
        raise InputError(f"{file}: {type(self).__name__} writes graphs and has no runtime for them here")
