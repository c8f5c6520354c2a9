"""Tell what a device can do."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

#: Compute capability of the A100, the first with bfloat16 products of its own.
AMPERE = (8, 0)
#: Bytes of scores against a vocabulary at a time on a CPU, and which share of a GPU's memory.
CPU_SCORES, GPU_SHARE = 2**25, 64


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a CUDA device multiplies bfloat16 matrices itself; older ones emulate it, slowly."""
    return torch.cuda.get_device_capability(device) >= AMPERE


def bfloat16_pays(device: torch.device) -> bool:
    """Tell whether a device multiplies bfloat16 matrices faster than float32 ones.

    AVX-512's bfloat16 products take half of float32's time on AMD's processors, and twice as long on Intel's
    without AMX. The answer is not timed: a run that goes on has to find the same.
    """
    if device.type == "cuda":
        return has_bfloat16(device)
    if device.type != "cpu":
        return False
    avx512 = torch.cpu._is_avx512_bf16_supported() and "AuthenticAMD" in _processors()
    return bool(avx512 or torch.cpu._is_amx_tile_supported())


@cache
def _processors() -> str:
    """What Linux says of the processors; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def runs_kernels(device: torch.device) -> bool:
    """Tell whether dlmone's Triton kernels run on a device; elsewhere PyTorch does their work."""
    return device.type == "cuda" and find_spec("triton") is not None and has_bfloat16(device)


def scores_at_once(device: torch.device) -> int:
    """Return how many float32 scores against a vocabulary a device should hold at a time.

    A CPU is fastest with few; on a GPU each further piece costs its host time.
    """
    if device.type != "cuda":
        return CPU_SCORES // 4
    return int(torch.cuda.get_device_properties(device).total_memory) // GPU_SHARE // 4
