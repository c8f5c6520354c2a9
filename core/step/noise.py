"""Keyed randomness: every random number is a function of its key, never of the ones before it.

Training noise is keyed by (seed, role, step, position in the global batch), generation noise by
(seed, example id, candidate). So neither batch size, nor number of processes, nor a resumed run changes
a draw. The generator is Philox (counter-based), its key the BLAKE2 hash of the draw's key.
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import PluginError
from ..transfer import on_host, to_device

Key = tuple[int | str, ...]
_TWO_WORDS = Struct("<2Q")


def stream(key: Key) -> np.random.Generator:
    """Return the random stream of a key. Equal keys give equal streams, on every machine."""
    return np.random.Generator(np.random.Philox(key=np.array(_philox_key(key), np.uint64)))


def _philox_key(key: Key) -> tuple[int, ...]:
    return _TWO_WORDS.unpack(blake2b(repr(key).encode(), digest_size=16).digest())


class _Stream(threading.local):
    """A stream that is set to one key after the other: to make a new one takes NumPy nine times as long."""

    def __init__(self) -> None:
        self._philox = np.random.Philox(key=0)
        self.generator = np.random.Generator(self._philox)
        # As lists: of an array, NumPy makes an object for each number that it reads.
        self._words: dict[str, Sequence[int]] = {"counter": [0] * 4, "key": (0, 0)}
        self._start: Any = {**self._philox.state, "state": self._words, "buffer": [0] * 4}

    def begin(self, key: Key) -> None:
        """Go to the beginning of a key's stream."""
        self._words["key"] = _philox_key(key)
        self._philox.state = self._start


_STREAM = _Stream()


def seed_of(key: Key) -> int:
    """Return a 32-bit seed for torch's global generator (which reads no more than 32 bits on CPU)."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=4).digest(), "little")


@dataclass(frozen=True, slots=True)
class Draw:
    """One of the named draws of a batch, of ``shape`` for each sample."""

    kind: Literal["normal", "uniform"]
    name: str
    shape: tuple[int, ...]

    def rows(self, keys: Sequence[Key]) -> np.ndarray:
        """Return the draws of the samples with some keys, [B, *shape]."""
        normal, rng, begin = self.kind == "normal", _STREAM.generator, _STREAM.begin
        dtype, draw = (np.float32, rng.standard_normal) if normal else (np.float64, rng.random)
        rows = np.empty((len(keys), *self.shape), dtype)
        for key, row in zip(keys, rows.reshape(len(keys), -1), strict=True):
            begin((*key, self.name))
            draw(None, dtype, row)  # NumPy reads keywords slowly
        return rows


class Noise:
    """The named draws of one batch: one key a sample. Each is made once; treat it as read-only.

    Args:
        keys: one key for each sample of the batch.
        device: where the draws are put. They are made on the CPU, so that every device gets the same.
        made: draws that are at hand, such as a graph's inputs; without keys there are no others.

    Attributes:
        drawn: what has been asked for so far.
    """

    def __init__(
        self, keys: Sequence[Key], device: torch.device | str = "cpu", made: dict[Draw, Tensor] | None = None
    ) -> None:
        self.keys = tuple(keys)
        self.device = torch.device(device)
        self.drawn: list[Draw] = []
        self._made = dict(made or {})
        self._begun: dict[Draw, Future[Tensor]] = {}

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return standard normal draws [B, *shape] in float32 for the draw called ``name``."""
        return self.get(Draw("normal", name, tuple(shape)))

    def uniform(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        """Return uniform draws [B, *shape] in [0, 1), float64, for the draw called ``name``."""
        return self.get(Draw("uniform", name, tuple(shape)))

    def chosen(self, name: str, share: float) -> Tensor:
        """Return which samples' uniform draw ``name`` lies below ``share``, [B] bool.

        The comparison is made on the host, where `on_host` then finds it without waiting for the device.
        """
        return to_device(on_host(self.uniform(name)) < share, self.device)

    def begin(self, draws: Iterable[Draw], threads: Executor) -> None:
        """Start making draws in threads, before they are asked for."""
        for draw in draws:
            self._begun[draw] = threads.submit(self._rows, draw)

    def get(self, draw: Draw) -> Tensor:
        """Return a draw, [B, *shape]."""
        if draw not in self._made:
            begun = self._begun.pop(draw, None)
            self._made[draw] = to_device(begun.result() if begun else self._rows(draw), self.device)
            self.drawn.append(draw)
        return self._made[draw]

    def _rows(self, draw: Draw) -> Tensor:
        if not self.keys:
            raise PluginError(f"a one-step graph reads {draw}, which its generator's `draws` don't name")
        rows = torch.from_numpy(draw.rows(self.keys))
        return rows.pin_memory() if self.device.type == "cuda" else rows
