"""Keyed randomness: every random number is a function of its key, never of the ones before it.

Training noise is keyed by (seed, role, step, position in the global batch), generation noise by
(seed, example id, candidate). So neither batch size, nor number of processes, nor a resumed run changes
a draw. The generator is Philox (counter-based), its key the BLAKE2 hash of the draw's key.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..transfer import to_device

Key = tuple[int | str, ...]


def stream(key: Key) -> np.random.Generator:
    """Return the random stream of a key. Equal keys give equal streams, on every machine."""
    digest = blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))


def seed_of(key: Key) -> int:
    """Return a 32-bit seed for torch's global generator (which reads no more than 32 bits on CPU)."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=4).digest(), "little")


class Noise:
    """The named draws of one batch: one key a sample. Each is made once; treat it as read-only.

    Args:
        keys: one key for each sample of the batch.
        device: where the draws are put. They are made on the CPU, so that every device gets the same.
    """

    def __init__(self, keys: Sequence[Key], device: torch.device | str = "cpu") -> None:
        self.keys = tuple(keys)
        self.device = device
        self._made: dict[tuple[str, str, tuple[int, ...]], Tensor] = {}

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return standard normal draws [B, *shape] in float32 for the draw called ``name``."""
        size = tuple(shape)
        return self._draw(("normal", name, size), lambda rng: rng.standard_normal(size, np.float32))

    def uniform(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        """Return uniform draws [B, *shape] in [0, 1), float64, for the draw called ``name``."""
        size = tuple(shape)
        return self._draw(("uniform", name, size), lambda rng: rng.random(size))

    def _draw(
        self, draw: tuple[str, str, tuple[int, ...]], sample: Callable[[np.random.Generator], Any]
    ) -> Tensor:
        if draw not in self._made:
            rows = [sample(stream((*key, draw[1]))) for key in self.keys]
            self._made[draw] = to_device(torch.from_numpy(np.stack(rows)), self.device)
        return self._made[draw]
