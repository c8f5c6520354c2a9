"""Peak memory of a piece of work, beyond what the process holds already."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(run: Callable[[], object], device: torch.device) -> int | None:
    """Return how many bytes ``run`` takes at its peak; None where the system does not tell.

    On CUDA it is what PyTorch has allocated at most, weights included. On the CPU it is the growth of this
    process's resident memory over what it was before (Linux), weights not included.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    try:
        _give_back_freed_memory()
        _RESET.write_text("5")  # resets the peak
        before = _resident("VmRSS")
        run()
        return max(_resident("VmHWM") - before, 0)
    except OSError:
        return None


def peak_allocated(run: Callable[[], object], device: torch.device) -> int:
    """Return the peak of what PyTorch allocates in ``run`` beyond what is allocated before, in bytes.

    On the CPU its profiler tells of every allocation, which takes time.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        return (peak_memory(run, device) or 0) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # says on stderr that it starts and stops
    with torch.autograd.profiler.profile(profile_memory=True) as profiled:
        run()
    results: Any = profiled.kineto_results
    changes = [(one.start_ns(), one.nbytes()) for one in results.events() if one.name() == "[memory]"]
    held = accumulate(size for _, size in sorted(changes, key=itemgetter(0)))
    return max(held, default=0)


def _give_back_freed_memory() -> None:
    """Return freed memory to the system: reused by the run, it would hide what the run takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _resident(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024
