"""Order the training examples by step, independently of earlier steps."""

import numpy as np

from dlmone.core.step.noise import Key, stream


class DataOrder:
    """Endless epochs over the indices of a data set, each shuffled by its own random key.

    The batch is a function of the step alone. A resumed run therefore continues with exactly the same
    batches, and no position has to be saved.
    """

    def __init__(self, size: int, key: Key, batch: int) -> None:
        self.size = size
        self.key = key
        self.batch = batch
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> list[int]:
        """Return the data-set indices of a step's global batch."""
        return [
            self._index(position // self.size, position % self.size)
            for position in range(step * self.batch, (step + 1) * self.batch)
        ]

    def _index(self, epoch: int, place: int) -> int:
        if epoch != self._epoch:
            self._order = stream((*self.key, "epoch", epoch)).permutation(self.size)
            self._epoch = epoch
        return int(self._order[place])
