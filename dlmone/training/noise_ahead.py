"""Make an update's noise while a GPU still works on the update before."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from dlmone.core import Noise
from dlmone.core.step.noise import Draw, Key

#: Threads that draw; NumPy draws without holding the interpreter's lock.
THREADS = 2


class NoiseAhead:
    """Noise of updates in their order. It is the same with and without threads, as it follows from its keys.

    An update's draws are taken to be those of the update before it of the same series.

    Args:
        device: where the noise is used.
        threads: number of threads. None is two for a GPU, and none for a CPU, whose cores the networks need.
    """

    def __init__(self, device: torch.device, threads: int | None = None) -> None:
        self.device = device
        count = threads if threads is not None else THREADS * (device.type == "cuda")
        self._pool = ThreadPoolExecutor(count, "noise") if count else None
        self._now: dict[Hashable, Noise] = {}
        self._next: dict[Hashable, Noise] = {}

    def of(self, series: Hashable, keys: Sequence[Key], following: Sequence[Key]) -> Noise:
        """Return an update's noise, the one returned last if its keys are the same, and begin the next one's.

        Args:
            series: names updates that make the same draws, and follow each other.
            keys: one for each sample.
            following: those of the series' next update.
        """
        before = self._now.get(series)
        if before is not None and before.keys == tuple(keys):
            return before
        noise = self._next.pop(series, None)
        if noise is None or noise.keys != tuple(keys):
            noise = Noise(keys, self.device)
        self._now[series] = noise
        if before is not None and self._pool is not None:
            self._next[series] = self._begun(following, before.drawn)
        return noise

    def _begun(self, keys: Sequence[Key], draws: Sequence[Draw]) -> Noise:
        assert self._pool is not None
        noise = Noise(keys, self.device)
        noise.begin(draws, self._pool)
        return noise
