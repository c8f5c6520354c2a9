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
        self._orders: dict[int, np.ndarray] = {}

    def __getitem__(self, step: int) -> list[int]:
        """Return the data-set indices of a step's global batch."""
        position, found = step * self.batch, list[int]()
        while len(found) < self.batch:
            epoch, place = divmod(position + len(found), self.size)
            found += self._epoch(epoch)[place : place + self.batch - len(found)].tolist()
        return found

    def _epoch(self, epoch: int) -> np.ndarray:
        """Return an epoch's order. Two are kept: the next update may be asked for beside this one."""
        if epoch not in self._orders:
            self._orders = {kept: order for kept, order in self._orders.items() if abs(kept - epoch) == 1}
            self._orders[epoch] = stream((*self.key, "epoch", epoch)).permutation(self.size)
        return self._orders[epoch]
