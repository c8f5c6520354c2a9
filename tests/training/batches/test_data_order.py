"""dlmone/training/batches/data_order.py: every example once an epoch, a function of the step."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dlmone.runtime.distributed import World
from dlmone.training.batches.data_order import DataOrder


@settings(deadline=None)
@given(size=st.integers(1, 40), batch=st.integers(1, 50), epochs=st.integers(1, 3))
def test_every_epoch_holds_every_example_once(size: int, batch: int, epochs: int) -> None:
    order = DataOrder(size, (0, "x"), batch)
    steps = -(-size * epochs // batch)
    seen = [place for step in range(steps) for place in order[step]][: size * epochs]
    for epoch in range(epochs):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_a_batch_is_a_function_of_the_step() -> None:
    a, b = (DataOrder(10, (0, "x"), 4) for _ in range(2))
    forwards = [a[step] for step in range(8)]
    assert [b[step] for step in reversed(range(8))] == forwards[::-1]
    assert [DataOrder(10, (1, "x"), 4)[step] for step in range(8)] != forwards


@given(size=st.integers(1, 8), items=st.integers(0, 50))
def test_shares_cover_the_batch_in_rank_order(size: int, items: int) -> None:
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert [position for share in shares for position in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
