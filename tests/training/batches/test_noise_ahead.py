"""dlmone/training/batches/noise_ahead.py: the same noise, made earlier."""

import threading
from collections.abc import Sequence

import pytest
import torch

from dlmone.core import Noise
from dlmone.core.step.noise import Draw, Key
from dlmone.training.batches.noise_ahead import NoiseAhead

CPU = torch.device("cpu")


def keys(step: int) -> list[Key]:
    return [(0, step, position) for position in range(3)]


def draw_all(noise: Noise) -> list[torch.Tensor]:
    return [noise.normal("z", (2, 4)), noise.uniform("t"), noise.normal("epsilon", (5,))]


@pytest.mark.parametrize("threads", [0, 2])
def test_noise_is_that_of_its_keys_however_it_is_made(threads: int) -> None:
    ahead = NoiseAhead(CPU, threads)
    for step in (0, 1, 2, 7, 8, 8, 3):  # in order, skipped, again, and back
        found = draw_all(ahead.of("a", keys(step), lambda: keys(step + 1)))  # noqa: B023
        for one, expected in zip(found, draw_all(Noise(keys(step))), strict=True):
            assert torch.equal(one, expected)


def test_from_the_third_update_on_threads_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    makers: list[bool] = []
    rows = Draw.rows

    def noted(self: Draw, keys: Sequence[Key]) -> object:
        makers.append(threading.current_thread() is threading.main_thread())
        return rows(self, keys)

    monkeypatch.setattr(Draw, "rows", noted)
    ahead = NoiseAhead(CPU, 2)
    for step, here in enumerate([True, True, False, False]):
        noise = ahead.of("a", keys(step), lambda: keys(step + 1))  # noqa: B023
        before = len(makers)
        draw_all(noise)
        assert any(makers[before:]) == here


def test_what_two_updates_share_is_drawn_once() -> None:
    ahead = NoiseAhead(CPU)
    following = lambda: keys(2)  # noqa: E731
    assert ahead.of("a", keys(1), following) is ahead.of("a", keys(1), following)
    assert ahead.of("a", keys(1), following) is not ahead.of("b", keys(1), following), "another series"
    assert ahead.of("a", keys(1)[:2], following).keys == tuple(keys(1)[:2])
