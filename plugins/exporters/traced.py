"""A student's graph, traced by torch.export for any number of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from dlmone.core import InputError, OneStepGraph


def traced(graph: OneStepGraph, inputs: Sequence[Tensor]) -> ExportedProgram:
    """Return the graph in PyTorch's own operators.

    Raises:
        InputError: its network or its space depends on values, or on the number of rows.
    """
    rows = {0: Dim("rows")}
    tokens, target, *draws = inputs
    try:
        with torch.no_grad():
            return torch.export.export(
                graph, (tokens, target, *draws), dynamic_shapes=(rows, rows, (rows,) * len(draws))
            )
    except InputError:
        raise
    # A tracer's errors are of many types, and none is a promise of its interface.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        space = type(graph.generator.space).__name__
        raise InputError(f"this model ({space}) can't be written as one static graph ({reason})") from error
