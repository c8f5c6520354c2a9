"""Batches across requests: while one is computed, the texts for the next gather."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from dlmone.core import DlmoneError, Example, Noise
from dlmone.generation.inference import generate_rows
from dlmone.models.model import Model


class FullError(DlmoneError):
    """More texts wait than the queue takes."""


class Row(NamedTuple):
    """One text to generate, for an example and under a key of the noise, and where it goes."""

    example: Example
    key: tuple[int, str, int]
    text: asyncio.Future[str]


class Batcher:
    """Generates texts for all requests, first come, first served.

    A text depends on its seed, its prompt with its place in the request, and its candidate's number; in
    float32 not on what else is in its batch.

    Args:
        model: what generates.
        steps: network calls a text.
        batch: texts in a batch.
        most: texts that may wait.

    Attributes:
        waiting: the texts that no batch has taken yet.
    """

    def __init__(self, model: Model, steps: int, batch: int, most: int) -> None:
        self.model, self._steps, self._batch, self._most = model, steps, batch, most
        self.waiting: deque[Row] = deque()
        self._arrived = asyncio.Event()

    async def answer(self, examples: Sequence[Example], seed: int, candidates: int) -> list[str]:
        """Return the candidates of the first example, then of the next; cancelled, leave the queue.

        Raises:
            FullError: the queue has no room for so many.
            DlmoneError: the model failed.
        """
        if len(self.waiting) + len(examples) * candidates > self._most:
            raise FullError(f"the server is busy: {len(self.waiting)} texts wait already; try again later")
        rows = [Row(one, (seed, one.id, k), asyncio.Future()) for one in examples for k in range(candidates)]
        self.waiting.extend(rows)
        self._arrived.set()
        try:
            return await asyncio.gather(*(row.text for row in rows))
        finally:  # nobody awaits the rest after a failure, or once the client has left
            for row in rows:
                row.text.cancel()
            self.waiting = deque(row for row in self.waiting if not row.text.done())

    async def run(self) -> None:
        """Generate whatever waits, until cancelled."""
        while True:
            while not self.waiting:  # also where those who asked have left
                self._arrived.clear()
                await self._arrived.wait()
            rows = [self.waiting.popleft() for _ in range(min(self._batch, len(self.waiting)))]
            try:
                texts = await asyncio.to_thread(self._generate, rows)
            except Exception as error:  # the server outlives one batch's failure
                if not isinstance(error, DlmoneError):
                    error = DlmoneError(f"internal error: {type(error).__name__}: {error}")
                for row in rows:
                    if not row.text.done():
                        row.text.set_exception(error)
            else:
                for row, text in zip(rows, texts, strict=True):
                    if not row.text.done():  # whoever asked may have left
                        row.text.set_result(text)

    def _generate(self, rows: Sequence[Row]) -> list[str]:
        generator, compute = self.model.generator, self.model.compute
        batch = generator.space.collate([row.example for row in rows]).to(compute.device)
        noise = Noise([row.key for row in rows], compute.device)
        generated = generate_rows(generator, batch, noise, compute, self._steps)
        return generator.space.text(generated.tokens_BL, batch)
