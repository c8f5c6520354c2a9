"""Time the parts of inference: tokenising, the network, rounding, detokenising, and the rest.

Rounding is what a space rounds between network calls, and all that comes between the last call and the
texts: whichever way a model names tokens, its time is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch

from dlmone.core import Denoiser, Generator

Clock = Literal["wall", "cpu"]
#: Parts of the work, with the methods of a space that do them; the network and the rest are the others.
METHODS = {"tokenise": ("collate",), "rounding": ("decode", "round"), "detokenise": ("text",)}
PARTS = ("tokenise", "network", "rounding", "detokenise", "other")


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds of one run by both clocks; ``parts`` are by the selected one and add up to it."""

    wall: float
    cpu: float
    parts: dict[str, float]


class Stopwatch(AbstractContextManager["Stopwatch"]):
    """Times a generator's parts while it is entered; afterwards the generator is as it was.

    Args:
        generator: whose network and space are timed.
        clock: ``wall``, or ``cpu``: the CPU seconds of all threads, which other processes disturb less.
        device: a CUDA device is waited for at the borders of the parts, or its work would go unseen.
    """

    def __init__(self, generator: Generator, clock: Clock, device: torch.device) -> None:
        self._clock = time.perf_counter if clock == "wall" else time.process_time
        self._on_gpu = device.type == "cuda"
        self._spent = dict.fromkeys(PARTS, 0.0)
        self._called: tuple[float, float] | None = None
        network, space = generator.network, generator.space
        call = "denoise" if isinstance(network, Denoiser) else "forward"
        self._timed: list[tuple[Any, str, str]] = [(network, call, "network")]
        for part, names in METHODS.items():
            self._timed += [(space, name, part) for name in names if hasattr(space, name)]

    def __enter__(self) -> Self:
        for owner, name, part in self._timed:
            setattr(owner, name, self._watched(getattr(owner, name), part))
        return self

    def __exit__(self, *failure: object) -> None:
        for owner, name, _ in self._timed:
            delattr(owner, name)  # the class's method is found again

    def lap(self, run: Callable[[], object]) -> Lap:
        """Time one run."""
        self._spent, self._called = dict.fromkeys(PARTS, 0.0), None
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        self._wait()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        whole = wall if self._clock is time.perf_counter else cpu
        self._spent["other"] = whole - sum(self._spent.values())
        return Lap(wall, cpu, self._spent)

    def _watched(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._wait()
            started = self._clock()
            if part == "detokenise" and self._called is not None:
                ended, rounded = self._called
                self._spent["rounding"] = rounded + started - ended
                self._called = None
            try:
                return method(*args, **kwargs)
            finally:
                self._wait()
                ended = self._clock()
                self._spent[part] += ended - started
                if part == "network":
                    self._called = ended, self._spent["rounding"]

        return timed

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()
