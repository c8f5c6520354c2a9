"""A draw is a function of its key and name, and of nothing else."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmone.core import Noise
from dlmone.core.errors import PluginError
from dlmone.core.step import noise as noise_module
from dlmone.core.step.noise import Draw, Key, seed_of, stream

KEYS: list[Key] = [(1, "example", i) for i in range(5)]
key_parts = st.one_of(st.integers(), st.text(max_size=8))
keys = st.lists(key_parts, min_size=1, max_size=4).map(tuple)


def test_the_same_key_and_name_give_the_same_draw() -> None:
    assert torch.equal(Noise(KEYS).normal("z", (3, 2)), Noise(KEYS).normal("z", (3, 2)))
    assert torch.equal(Noise(KEYS).uniform("t"), Noise(KEYS).uniform("t"))


def test_draws_do_not_depend_on_what_was_drawn_before() -> None:
    noise = Noise(KEYS)
    noise.normal("other", (7,))
    assert torch.equal(noise.normal("z", (3, 2)), Noise(KEYS).normal("z", (3, 2)))


@settings(deadline=None)
@given(st.permutations(range(5)), st.integers(1, 5))
def test_draws_do_not_depend_on_batch_order_or_size(order: list[int], size: int) -> None:
    whole, part = Noise(KEYS), Noise([KEYS[i] for i in order[:size]])
    assert torch.equal(part.normal("z", (2, 3)), whole.normal("z", (2, 3))[order[:size]])
    assert torch.equal(part.uniform("t"), whole.uniform("t")[order[:size]])


@settings(deadline=None)
@given(keys, keys)
def test_different_keys_give_different_draws(one: Key, other: Key) -> None:
    same = torch.equal(Noise([one]).normal("z", (4,)), Noise([other]).normal("z", (4,)))
    assert same == (one == other)


def test_number_and_text_are_different_keys() -> None:
    assert not torch.equal(Noise([(1,)]).normal("z", (4,)), Noise([("1",)]).normal("z", (4,)))


def test_different_names_give_different_draws() -> None:
    noise = Noise(KEYS)
    assert not torch.isin(noise.normal("z", (50,)), noise.normal("z1", (50,))).any()
    assert not torch.isin(noise.uniform("t"), noise.uniform("s")).any()


def test_draws_are_pinned_across_versions_and_machines() -> None:
    """A change here changes every published sample: these numbers must never move."""
    noise = Noise([(0, "example-1", 0)])
    assert noise.normal("z", (3,))[0].tolist() == pytest.approx(
        [0.0484192781, 2.2250885963, -1.0708981752], abs=1e-6
    )
    assert noise.uniform("t").item() == pytest.approx(0.6392449157687478, abs=1e-12)
    assert seed_of((0, "example-1")) == 2665954023


def test_moments_are_those_of_the_standard_distributions() -> None:
    noise = Noise([(seed,) for seed in range(200)])
    z = noise.normal("z", (500,))
    assert z.dtype == torch.float32
    assert z.mean().item() == pytest.approx(0, abs=0.015)
    assert z.std().item() == pytest.approx(1, abs=0.01)
    assert z.pow(4).mean().item() == pytest.approx(3, abs=0.15)
    # Rows come from different streams: their correlation is that of independent draws.
    assert torch.corrcoef(z)[~torch.eye(200, dtype=torch.bool)].abs().max() < 0.3
    uniform_B = noise.uniform("t")
    assert uniform_B.dtype == torch.float64
    assert ((uniform_B >= 0) & (uniform_B < 1)).all()
    assert uniform_B.mean().item() == pytest.approx(0.5, abs=0.07)


@settings(deadline=None)
@given(keys)
def test_seeds_fit_in_32_bits_and_streams_repeat(key: Key) -> None:
    assert 0 <= seed_of(key) < 2**32
    assert stream(key).random() == stream(key).random()


def test_a_draw_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Key] = []
    begin = noise_module._Stream.begin

    def noted(self: Any, key: Key) -> None:
        made.append(key)
        begin(self, key)

    monkeypatch.setattr(noise_module._Stream, "begin", noted)
    noise = Noise(KEYS)
    draws = [noise.normal("z", (3, 2)) for _ in range(3)] + [noise.uniform("t") for _ in range(2)]
    assert all(torch.equal(one, draws[0]) for one in draws[:3])
    assert sorted(made, key=repr) == sorted([(*key, name) for key in KEYS for name in ("z", "t")], key=repr)
    assert noise.normal("z", (2,)).shape == (5, 2), "another shape is another draw"


@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (2, 0)])
def test_a_draw_is_that_of_its_keys_own_stream(shape: tuple[int, ...]) -> None:
    """A stream that is reused starts where a new one does, however far it was read before."""
    noise = Noise(KEYS)
    normal, uniform = noise.normal("z", shape), noise.uniform("t", shape)
    for i, key in enumerate(KEYS):
        assert np.array_equal(normal[i], stream((*key, "z")).standard_normal(shape, np.float32))
        assert np.array_equal(uniform[i], stream((*key, "t")).random(shape))


def test_threads_do_not_share_a_stream() -> None:
    many: list[list[Key]] = [[(batch, i) for i in range(50)] for batch in range(8)]
    expected = [Noise(rows).normal("z", (40,)) for rows in many]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda rows: Noise(rows).normal("z", (40,)), many)
    assert all(map(torch.equal, found, expected))


def test_draws_at_hand_are_given_as_they_are_and_no_others() -> None:
    z = torch.randn(2, 3)
    noise = Noise((), made={Draw("normal", "z", (3,)): z})
    assert noise.normal("z", (3,)) is z
    for other in (lambda: noise.normal("z", (4,)), lambda: noise.uniform("z", (3,))):
        with pytest.raises(PluginError, match=r"which its generator.s `draws` don.t name"):
            other()
