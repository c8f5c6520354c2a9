"""The samples of a microbatch: those whose loss is not finite are dropped, and the rest is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import Tensor

from dlmone.runtime.device import Compute

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """The samples of a microbatch that are left.

    Where networks are sharded, every process gathers their layers in the same passes. So all drop samples
    together, and keep the size of their microbatch: another sample, whose loss is finite, stands in for each
    that was dropped, and is not counted.

    Args:
        rows: what tells the samples of this process apart.
        compute: the processes.

    Attributes:
        all: the samples to compute, stand-ins last; empty where no process has any left.
    """

    def __init__(self, rows: Sequence[Row], compute: Compute) -> None:
        self.all = list(rows)
        self._counted = len(rows)
        self._world = compute.world if compute.mesh is not None else None

    def finite(self, finite_B: Tensor) -> bool:
        """Tell whether all losses are finite, of all processes that keep in step. The host waits for it."""
        lost = not finite_B.all()
        return not (self._world.any(lost) if self._world else lost)

    def counted(self, values_B: Tensor) -> Tensor:
        """Return the values of those samples that count."""
        return values_B[: self._counted]

    def drop(self, finite_B: Tensor) -> None:
        """Leave out the samples whose loss is not finite."""
        found = finite_B.tolist()
        kept = [row for row, finite in zip(self.all[: self._counted], found, strict=False) if finite]
        others = []
        if self._world:
            every = self._world.gather((kept, all(found[self._counted :])))
            # A stand-in whose loss is not finite any more, for its dropout, leaves nothing to go on with.
            sound = all(one for _, one in every)
            first = next((rows[0] for rows, _ in every if rows), None) if sound else None
            kept = kept if first is not None else []
            others = [] if first is None else [first] * (len(self.all) - len(kept))
        self.all, self._counted = kept + others, len(kept)
