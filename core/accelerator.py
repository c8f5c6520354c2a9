"""Tell what a GPU can do."""

from importlib.util import find_spec

import torch

#: Compute capability of the A100, the first with bfloat16 products of its own.
AMPERE = (8, 0)


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a CUDA device multiplies bfloat16 matrices itself; older ones emulate it, slowly."""
    return torch.cuda.get_device_capability(device) >= AMPERE


def runs_kernels(device: torch.device) -> bool:
    """Tell whether dlmone's Triton kernels run on a device; elsewhere PyTorch does their work."""
    return device.type == "cuda" and find_spec("triton") is not None and has_bfloat16(device)
