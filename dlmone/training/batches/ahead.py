"""Make what the next update needs while a GPU still works on the one before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

Key = TypeVar("Key")
Item = TypeVar("Item")


class Ahead(ABC, Generic[Key, Item]):
    """Items of updates in their order, each determined by its key alone: with threads and without, the same.

    Args:
        device: where the items are used.
        threads: number of threads that make them ahead, if the device is a GPU. A CPU's cores are needed by
            the networks.
    """

    def __init__(self, device: torch.device, threads: int) -> None:
        self.device = device
        self._pool = ThreadPoolExecutor(threads, type(self).__name__) if threads else None
        self._now: dict[Hashable, tuple[Key, Item]] = {}
        self._next: dict[Hashable, tuple[Key, Callable[[], Item]]] = {}

    @abstractmethod
    def make(self, key: Key) -> Item:
        """Return the item of a key."""

    @abstractmethod
    def begin(self, key: Key, before: Item | None, threads: ThreadPoolExecutor) -> Callable[[], Item] | None:
        """Begin an item in threads, and return what gives it when it is needed.

        Args:
            key: the item's.
            before: the item of the last update but one, from which may be seen what is needed.
            threads: where the work is done.
        """

    def of(self, series: Hashable, key: Key, following: Callable[[], Key]) -> Item:
        """Return an update's item, the one returned last if its key is the same, and begin the next one.

        Args:
            series: names updates that follow each other and need the same kind of item.
            key: the item's.
            following: returns the key of the series' next update.
        """
        before = self._now.get(series)
        if before is not None and before[0] == key:
            return before[1]
        begun = self._next.pop(series, None)
        item = begun[1]() if begun is not None and begun[0] == key else self.make(key)
        self._now[series] = key, item
        if self._pool is not None:
            later = following()
            if (begun_now := self.begin(later, before and before[1], self._pool)) is not None:
                self._next[series] = later, begun_now
        return item
