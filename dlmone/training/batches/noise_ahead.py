"""Make an update's noise while a GPU still works on the update before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from dlmone.core import Noise
from dlmone.core.step.noise import Key

from .ahead import Ahead

#: Threads that draw for a GPU; NumPy draws without holding the interpreter's lock.
THREADS = 2


class NoiseAhead(Ahead[Sequence[Key], Noise]):
    """Noise of updates in their order, from the keys of their samples.

    An update's draws are taken to be those of the update before it of the same series.
    """

    def __init__(self, device: torch.device, threads: int | None = None) -> None:
        super().__init__(device, THREADS * (device.type == "cuda") if threads is None else threads)

    def make(self, key: Sequence[Key]) -> Noise:
        return Noise(key, self.device)

    def begin(
        self, key: Sequence[Key], before: Noise | None, threads: ThreadPoolExecutor
    ) -> Callable[[], Noise] | None:
        if before is None:
            return None
        noise = self.make(key)
        noise.begin(before.drawn, threads)
        return lambda: noise
