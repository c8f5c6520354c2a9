"""float32 products that are float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch


def _backends() -> list[Any]:
    """Return what says, from PyTorch 2.9 on, how each kind of float32 product is computed."""
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return []
    return [backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn]


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Within, float32 products keep all 24 bits: no TF32 on a GPU, no bfloat16 sums on a CPU.

    The switches belong to the whole process, so the caller's settings are put back at the end. They are read
    when a product is computed, so a backward pass must lie within too. Autocast stays as it is.
    """
    before = [backend.fp32_precision for backend in _backends()]
    matmul = cudnn = None
    # PyTorch refuses to read these two once its newer switches contradict them.
    with suppress(RuntimeError):
        matmul = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        cudnn = torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        for backend in _backends():
            backend.fp32_precision = "ieee"
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            torch.backends.cudnn.allow_tf32 = cudnn
        for backend, precision in zip(_backends(), before, strict=True):
            backend.fp32_precision = precision
