"""Device and precision of a run, and what they set up in its process."""

from __future__ import annotations

import copy
import ctypes
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

from dlmone.core import Denoiser, InputError
from dlmone.core.accelerator import has_bfloat16
from dlmone.core.errors import MissingError
from dlmone.registry.schema import Compute as ComputeTable

from .distributed import World


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed: giving it back and getting it zeroed anew costs a step a tenth."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter, value in MALLOC_OPTIONS.items():
            mallopt(parameter, value)


def _bfloat16_pays(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return has_bfloat16(device)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


#: glibc's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD (whose largest value this is), in bytes.
MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 2**28, -3: 2**25}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    ``bfloat16`` is autocast: parameters, losses and, in θ's update, the passes of φ and ψ stay float32.
    """

    device: torch.device
    bfloat16: bool
    world: World
    microbatch: int | None = None
    non_finite_limit: int = 100

    @classmethod
    def of(cls, table: ComputeTable) -> Compute:
        """Return the device and precision that a table names, for one process; nothing is set up.

        Raises:
            InputError: the device is unknown or not there.
        """
        device = resolve_device(table.device)
        bfloat16 = table.precision == "bfloat16" or (table.precision == "auto" and _bfloat16_pays(device))
        return cls(device, bfloat16, World(), table.microbatch, table.non_finite_limit)

    @classmethod
    def start(cls, table: ComputeTable) -> Compute:
        """Set up this process for a run or a command: threads, memory and the process group.

        Raises:
            InputError: the device is unknown or not there.
        """
        compute = cls.of(table)
        if compute.device.type == "cuda" and compute.device.index is not None:
            torch.cuda.set_device(compute.device)  # what names no device, such as a stopwatch, means this one
        world = World.join()
        if table.threads:
            torch.set_num_threads(table.threads)
        keep_freed_memory()
        return replace(compute, device=world.own(compute.device), world=world)

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def frozen_copy(self, network: Denoiser) -> Denoiser:
        """Return a copy for inference alone; under bfloat16 its linear weights are cast once.

        Autocast would cast the float32 weights of a frozen network anew at every call. Do not subtract the
        answers of such a copy from another network's.
        """
        frozen = copy.deepcopy(network).requires_grad_(False).eval()
        if self.bfloat16:
            frozen.to_precision(torch.bfloat16)
        return frozen

    @property
    def precision(self) -> str:
        """Kind of device and dtype: what changes a result by more than rounding in the last digits."""
        return f"{self.device.type} {'bfloat16' if self.bfloat16 else 'float32'}"

    def describe(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        precision = "bfloat16 autocast" if self.bfloat16 else "float32"
        processes = f", {self.world.size} processes" if self.world.size > 1 else ""
        return f"{name}, {torch.get_num_threads()} threads, {precision}{processes}"


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device that is there.

    Raises:
        InputError: the name is unknown or the device absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    named = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if named is None:
        raise InputError(f"there is no device {name!r}; expected auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device(name)
    if not torch.cuda.is_available():
        raise MissingError(f"device {name!r} was asked for, but no CUDA device is available here")
    if named[1] is None:
        return torch.device(name)
    if int(named[1]) >= (count := torch.cuda.device_count()):
        raise MissingError(f"device {name!r} was asked for, but the last one here is cuda:{count - 1}")
    return torch.device("cuda", int(named[1]))
