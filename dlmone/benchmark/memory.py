"""Peak memory of a piece of work, beyond what the process holds already."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

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


def _give_back_freed_memory() -> None:
    """Return freed memory to the system: reused by the run, it would hide what the run takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _resident(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024
