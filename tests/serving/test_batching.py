"""Texts of many requests in one batch are those of each request alone."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import dlmone
from dlmone.core import DlmoneError
from dlmone.generation.inputs import examples_of
from dlmone.models.model import Model
from dlmone.serving.batching import Batcher, FullError

#: Prompts, seed and number of candidates of requests that come at once.
REQUESTS = [
    (["how do i learn ?"], 0, 1),
    (["what is it ?", "how is it ?"], 1, 3),
    (["how do i learn ?"], 2, 2),
    (["what is it ?"], 0, 1),
]


@pytest.fixture
def model(tiny_run: Path) -> Model:
    return dlmone.load(tiny_run, device="cpu")


@pytest.fixture
def sizes(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that the model has generated."""
    found: list[int] = []
    generate = model.generator.generate

    def watched(batch: Any, *args: Any) -> Any:
        found.append(len(batch))
        return generate(batch, *args)

    monkeypatch.setattr(model.generator, "generate", watched)
    return found


def answered(batcher: Batcher, *requests: tuple[list[str], int, int]) -> list[Any]:
    """Return the answers to requests that come at once, or their errors."""

    async def all_of_them() -> list[Any]:
        work = asyncio.create_task(batcher.run())
        asked: list[Coroutine[Any, Any, list[str]]] = [
            batcher.answer(examples_of(prompts), seed, n) for prompts, seed, n in requests
        ]
        found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), timeout=60)
        work.cancel()
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(("batch", "expected"), [(64, [10]), (4, [4, 4, 2]), (1, [1] * 10)])
def test_a_batch_holds_what_waits_and_changes_no_text(
    model: Model, sizes: list[int], batch: int, expected: list[int]
) -> None:
    found = answered(Batcher(model, 1, batch, most=100), *REQUESTS)
    assert sizes == expected
    alone = [model.generate(prompts, seed=seed, candidates=n) for prompts, seed, n in REQUESTS]
    assert found == [[text for texts in each for text in texts] for each in alone]
    assert len({text for texts in found for text in texts}) > 1


def test_a_full_queue_refuses_and_goes_on(model: Model) -> None:
    first, second, third = answered(Batcher(model, 1, 64, most=3), REQUESTS[0], REQUESTS[1], REQUESTS[2])
    assert len(first) == 1
    assert isinstance(second, FullError)
    assert str(second) == "the server is busy: 1 texts wait already; try again later"
    assert len(third) == 2


def test_a_failure_is_the_answer_and_not_the_end(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = Batcher(model, 1, batch=1, most=10)
    generate = model.generator.generate
    failures = iter([ZeroDivisionError("one"), DlmoneError("no such step")])

    def failing(*args: Any) -> Any:
        if error := next(failures, None):
            raise error
        return generate(*args)

    monkeypatch.setattr(model.generator, "generate", failing)
    first, second, third = answered(batcher, *[REQUESTS[0]] * 3)
    assert str(first) == "internal error: ZeroDivisionError: one"
    assert str(second) == "no such step"
    assert third == model.generate(REQUESTS[0][0])[0]
    assert isinstance(first, DlmoneError)


def test_a_client_that_leaves_does_not_stop_the_others(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = model.generator.generate
    prompts, seed, n = REQUESTS[0]
    expected = model.generate(prompts, seed=seed)[0]

    async def leaving() -> list[str]:
        batcher, loop = Batcher(model, 1, batch=1, most=10), asyncio.get_running_loop()
        begun = asyncio.Event()

        def slow(*args: Any) -> Any:
            loop.call_soon_threadsafe(begun.set)
            return generate(*args)

        monkeypatch.setattr(model.generator, "generate", slow)
        work = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.answer(examples_of(prompts), seed, n))
        await begun.wait()
        first.cancel()
        last = asyncio.wait_for(batcher.answer(examples_of(prompts), seed, n), timeout=60)
        found = await last
        work.cancel()
        return found

    assert asyncio.run(leaving()) == expected
