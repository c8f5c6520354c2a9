"""Tokenise, gather and pin an update's batch while a GPU still works on the update before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from dlmone.core import Batch

from .ahead import Ahead
from .tokenized import TokenizedExamples


class BatchesAhead(Ahead[Sequence[int], Batch]):
    """Batches of updates in their order, on the device, from the indices of their examples in the split.

    What an example is refused for is raised by the update that reads it.

    Args:
        examples: the split.
        device: where the batches are used.
        threads: one for a GPU and none for a CPU, if None.
    """

    def __init__(self, examples: TokenizedExamples, device: torch.device, threads: int | None = None) -> None:
        super().__init__(device, int(device.type == "cuda") if threads is None else threads)
        self.examples = examples

    def make(self, key: Sequence[int]) -> Batch:
        return self.examples.batch(key).to(self.device)

    def begin(
        self, key: Sequence[int], before: Batch | None, threads: ThreadPoolExecutor
    ) -> Callable[[], Batch]:
        begun = threads.submit(self._on_host, key)
        return lambda: begun.result().to(self.device)

    def _on_host(self, key: Sequence[int]) -> Batch:
        batch = self.examples.batch(key)
        if self.device.type != "cuda":
            return batch
        return replace(batch, tokens_BL=batch.tokens_BL.pin_memory(), target_BL=batch.target_BL.pin_memory())
