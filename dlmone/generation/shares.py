"""Share texts among processes: each generates whole batches, and the main one has all outputs in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from dlmone.core.text.data import Example
from dlmone.runtime.distributed import World

from .inputs import batches

Answer = TypeVar("Answer")


def answered(
    world: World,
    rounds: Iterable[Sequence[Example]],
    batch: int,
    answer: Callable[[Sequence[Example]], Answer],
    alone: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Sequence[Example], Answer]]:
    """Yield each batch with its answer, in order, on the main process; elsewhere take part and yield none.

    The batches are those of one process, so that their outputs are the same bits also where an output
    depends on the shape of its batch.

    Args:
        world: the processes.
        rounds: up to a batch for each process; read on the main one alone.
        batch: examples in a batch.
        answer: generates for a batch, on any process.
        alone: whether the main process answers the next round by itself, without starting the others.
    """
    if not world.main:
        while (shared := world.agree(None)) is not None:
            own = list(batches(shared, batch))[world.rank : world.rank + 1]
            world.gather([answer(part) for part in own])
        return
    for examples in rounds:
        parts = list(batches(examples, batch))
        if alone():
            yield from ((part, answer(part)) for part in parts)
            continue
        world.agree(examples)
        answers = world.gather([answer(part) for part in parts[:1]])
        yield from zip(parts, chain.from_iterable(answers), strict=True)
    world.agree(None)
