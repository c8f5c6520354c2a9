"""dlmone/training/batches/rows.py: samples whose loss is not finite, in one process and in several."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.batches.rows import Rows

ALONE = Compute(torch.device("cpu"), bfloat16=False, world=World())
NAN = float("nan")


def tried(rows: Rows[int], loss: Callable[[int], float]) -> tuple[list[list[int]], list[float]]:
    """Try rows until all losses are finite: what was computed each time, and what counts in the end."""
    made: list[list[int]] = []
    while rows.all:
        made.append(list(rows.all))
        loss_B: Tensor = torch.tensor([loss(row) for row in rows.all])
        if rows.finite(loss_B.isfinite()):
            return made, rows.counted(loss_B).tolist()
        rows.drop(loss_B.isfinite())
    return made, []


def test_one_process_goes_on_with_the_samples_that_are_left() -> None:
    assert tried(Rows([3, 4, 5], ALONE), lambda row: NAN if row == 4 else row) == (
        [[3, 4, 5], [3, 5]],
        [3, 5],
    )
    assert tried(Rows([3, 4], ALONE), lambda row: NAN) == ([[3, 4]], [])


def shared(
    together: Callable[[int], list[World]], losses: Callable[[int], Callable[[int], float]]
) -> list[tuple[list[list[int]], list[float]]]:
    """Let two processes that share out the networks try two samples each."""
    mesh: Any = object()

    def one(world: World) -> tuple[list[list[int]], list[float]]:
        compute = replace(ALONE, world=world, mesh=mesh)
        return tried(Rows([2 * world.rank, 2 * world.rank + 1], compute), losses(world.rank))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, together(2)))


def test_processes_that_share_out_networks_make_the_same_passes(
    together: Callable[[int], list[World]],
) -> None:
    """The second process loses all its samples: the first one's stands in, and is not counted."""
    found = shared(together, lambda rank: lambda row: NAN if row in (0, 2, 3) else row)
    assert found == [([[0, 1], [1, 1]], [1]), ([[2, 3], [1, 1]], [])]


def test_no_sample_is_left_on_any_process(together: Callable[[int], list[World]]) -> None:
    assert shared(together, lambda rank: lambda row: NAN) == [([[0, 1]], []), ([[2, 3]], [])]


def test_a_stand_in_that_is_not_finite_itself_ends_the_microbatch(
    together: Callable[[int], list[World]],
) -> None:
    """With dropout a sample's loss is another one on another process."""
    found = shared(together, lambda rank: lambda row: row if rank == 0 else NAN)
    assert found == [([[0, 1], [0, 1]], []), ([[2, 3], [0, 0]], [])]
