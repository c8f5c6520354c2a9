"""Compile networks with torch.compile: the blocks of those that are trained, one call of those that generate.

Modules are compiled in place (`nn.Module.compile`). They are not wrapped, so tensors keep their names, and a
copy of a compiled module is not compiled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec

import torch
from torch import nn

from dlmone.core import Denoiser, InputError
from dlmone.core.errors import MissingError

#: Graphs of one block at most: networks of a step differ in mode, precision, gradients and shapes. PyTorch's
#: own limit of 8 is for what was compiled by mistake.
GRAPHS = 64


def require_compiler(device: torch.device) -> None:
    """Raise unless torch.compile finds what it needs for a device.

    Raises:
        MissingError: there is no C++ compiler, or for a GPU no Triton.
    """
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(map(shutil.which, names)):
        raise MissingError(
            f"compile: torch.compile needs a C++ compiler, and there is no {' or '.join(names)} here; "
            "install one, name it by the environment variable CXX, or leave compile = false"
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise MissingError("compile: torch.compile needs Triton for a GPU, and it is not installed here")


def compile_blocks(modules: Iterable[nn.Module], backend: str = "inductor") -> None:
    """Compile the blocks of every denoiser within some modules, with and without gradient.

    Blocks of one kind share what is compiled, so that it takes the time of one. A batch or length that was
    not met before is compiled once more, and then for all sizes.

    Raises:
        InputError: a denoiser has no blocks.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    found = {part: None for module in modules for part in module.modules() if isinstance(part, Denoiser)}
    for denoiser in found:
        blocks = list(denoiser.repeated())
        if not blocks:
            raise InputError(f"compile: {type(denoiser).__name__} has no blocks that repeat (nn.ModuleList)")
        for block in blocks:
            block.compile(fullgraph=True, backend=backend)


def compile_call(network: Denoiser, backend: str = "inductor") -> None:
    """Compile a whole network call for inference, anew for each batch size and length.

    On a GPU it is recorded as a CUDA graph: one launch instead of hundreds.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    on_gpu = next(network.parameters()).device.type == "cuda"
    mode = "reduce-overhead" if on_gpu and backend == "inductor" else None
    network.compile(fullgraph=True, dynamic=False, mode=mode, backend=backend)
