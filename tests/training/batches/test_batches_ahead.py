"""dlmone/training/batches/batches_ahead.py: the same batches, made earlier."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dlmone.core import Batch, InputError
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES
from dlmone.training.batches.batches_ahead import BatchesAhead
from dlmone.training.batches.data_order import DataOrder
from dlmone.training.batches.tokenized import TokenizedExamples

CPU = torch.device("cpu")


def order() -> DataOrder:
    return DataOrder(len(EXAMPLES), (0, "a"), 3)


def same(a: Batch, b: Batch) -> bool:
    return a.ids == b.ids and torch.equal(a.tokens_BL, b.tokens_BL) and torch.equal(a.target_BL, b.target_BL)


@pytest.mark.parametrize("threads", [0, 1])
def test_a_batch_is_that_of_its_step_however_it_is_made(threads: int) -> None:
    space, places = toy_teacher().space, order()
    ahead = BatchesAhead(TokenizedExamples(space, EXAMPLES), CPU, threads)
    for step in (0, 1, 2, 7, 8, 8, 3):  # in order, resumed, again, and back
        found = ahead.of("a", places[step], lambda: places[step + 1])  # noqa: B023
        assert same(found, space.collate([EXAMPLES[place] for place in order()[step]]))


def test_from_the_second_update_on_a_thread_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []
    batch = TokenizedExamples.batch

    def noted(self: TokenizedExamples, rows: Sequence[int]) -> Batch:
        here.append(threading.current_thread() is threading.main_thread())
        return batch(self, rows)

    monkeypatch.setattr(TokenizedExamples, "batch", noted)
    ahead, places = BatchesAhead(TokenizedExamples(toy_teacher().space, EXAMPLES), CPU, 1), order()
    for step in range(4):
        ahead.of("a", places[step], lambda: places[step + 1])  # noqa: B023
    assert here[:4] == [True, False, False, False]


def test_a_cpu_makes_no_batch_that_is_not_asked_for() -> None:
    def never() -> list[int]:
        raise AssertionError

    ahead = BatchesAhead(TokenizedExamples(toy_teacher().space, EXAMPLES), CPU)
    assert ahead.of("a", [1, 0], never) is ahead.of("a", [1, 0], never), "what two updates share is made once"
    assert ahead.of("a", [2, 1], never).ids == (EXAMPLES[2].id, EXAMPLES[1].id)


def test_an_example_is_refused_by_the_update_that_reads_it() -> None:
    examples = [*EXAMPLES[:2], replace(EXAMPLES[0], id="long", source="a " * 1000)]
    tokenized = TokenizedExamples(toy_teacher().space, examples)

    def refused(rows: Sequence[int]) -> Batch:
        if 2 in rows:
            raise InputError("example long does not fit")
        return TokenizedExamples.batch(tokenized, rows)

    tokenized.batch = refused  # type: ignore[method-assign]
    ahead = BatchesAhead(tokenized, CPU, 1)
    ahead.of("a", [0, 1], lambda: [1, 2])
    ahead.of("b", [0], lambda: [1])
    with pytest.raises(InputError, match="example long"):
        ahead.of("a", [1, 2], lambda: [0])
