"""The order in which training sees its examples: a function of the step, never of what came before."""

import numpy as np

from dlmone.core.noise import Key, stream


class DataOrder:
    """Endless epochs over the places of a data set, each in its own keyed order.

    Because the batch of a step is a function of the step, a resumed run continues with exactly the batch
    it would have seen, and nothing about the position has to be saved.
    """

    def __init__(self, size: int, key: Key, batch: int) -> None:
        self.size = size
        self.key = key
        self.batch = batch
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> list[int]:
        """Return the places of a step's global batch in the data set."""
        return [
            self._index(position // self.size, position % self.size)
            for position in range(step * self.batch, (step + 1) * self.batch)
        ]

    def _index(self, epoch: int, place: int) -> int:
        if epoch != self._epoch:
            self._order = stream((*self.key, "epoch", epoch)).permutation(self.size)
            self._epoch = epoch
        return int(self._order[place])
