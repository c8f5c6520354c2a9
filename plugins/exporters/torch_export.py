"""torch.export: the graph in PyTorch's own operators, for PyTorch without dlmone."""

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor

from dlmone.core import OneStepGraph
from dlmone.registry import Exporter

from .traced import traced

FILE = "graph.pt2"


class TorchExporter(Exporter):
    """Writes what ``torch.export.load`` reads. It is not loaded here: that can unpickle, and so run code."""

    def __init__(self, options: BaseModel) -> None:
        del options  # it has none

    def write(self, graph: OneStepGraph, inputs: Sequence[Tensor], folder: Path) -> str:
        torch.export.save(traced(graph, inputs), folder / FILE)
        return FILE
