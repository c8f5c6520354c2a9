"""Device and precision of a run, and what they set up in its process."""

from __future__ import annotations

import copy
import ctypes
import sys
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from dlmone.core import Denoiser, Teacher
from dlmone.core.accelerator import bfloat16_pays
from dlmone.registry.fields.device import resolve_device
from dlmone.registry.schema import Compute as ComputeTable

from .compilation import require_compiler
from .distributed import World

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

Module = TypeVar("Module", bound=nn.Module)


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed: giving it back and getting it zeroed anew costs a step a tenth."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter, value in MALLOC_OPTIONS.items():
            mallopt(parameter, value)


#: glibc's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD (whose largest value this is), in bytes.
MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 2**28, -3: 2**25}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    ``bfloat16`` is autocast: parameters, losses and, in θ's update, the passes of φ and ψ stay float32.
    ``mesh`` is that of a run that shards its networks over its processes.
    """

    device: torch.device
    bfloat16: bool
    world: World
    microbatch: int | None = None
    non_finite_limit: int = 100
    mesh: DeviceMesh | None = None
    compile: bool = False

    @classmethod
    def of(cls, table: ComputeTable) -> Compute:
        """Return the device and precision that a table names, for one process; nothing is set up.

        Raises:
            InputError: the device is unknown or not there, or this PyTorch can't shard.
            MissingError: compilation is asked for, and there is no compiler.
        """
        if table.shard:
            from .sharding import check_version

            check_version()
        device = resolve_device(table.device)
        if table.compile:
            require_compiler(device)
        bfloat16 = table.precision == "bfloat16" or (table.precision == "auto" and bfloat16_pays(device))
        limit = table.non_finite_limit
        return cls(device, bfloat16, World(), table.microbatch, limit, compile=table.compile)

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
        device = world.own(compute.device)
        return replace(compute, device=device, world=world, mesh=_mesh(table, device, world))

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def seed(self, seed: int) -> None:
        """Seed PyTorch's own generators of this process, as `torch.manual_seed` does.

        That one formats a stack trace for each kind of device that is not in use, at every call.
        """
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def place(self, module: nn.Module, space: nn.Module | None = None) -> None:
        """Move a network to the device, in shards if the run shards; copy it before that.

        Args:
            module: the network.
            space: parts of it that stay whole, as the engine uses them too.
        """
        if self.mesh is not None:
            from .sharding import shard

            shard(module, self.mesh, space)
        module.to(self.device)

    def place_teacher(self, teacher: Teacher) -> Teacher:
        """Move a teacher to the device, and return it; if the run shards, its space alone.

        Its network is then copied into shards, for which it waits in the host's memory.
        """
        (teacher if self.mesh is None else teacher.space).to(self.device)
        return teacher

    def whole_copy(self, module: Module) -> Module:
        """Return a copy of a network. That of a sharded one is whole and in the host's memory.

        Every process calls this for the same networks.
        """
        if self.mesh is None:
            return copy.deepcopy(module)
        from .sharding import whole_copy

        return whole_copy(module)

    def frozen_copy(self, network: Denoiser) -> Denoiser:
        """Return a copy for inference alone, on the device; under bfloat16 its linear weights are cast once.

        Autocast would cast the float32 weights of a frozen network anew at every call. Do not subtract the
        answers of such a copy from another network's.
        """
        return self.frozen(self.whole_copy(network))

    def frozen(self, network: Denoiser) -> Denoiser:
        """Make of a network what `frozen_copy` returns."""
        network.requires_grad_(False).eval()
        if self.bfloat16:
            network.to_precision(torch.bfloat16)
        return network.to(self.device)

    @property
    def precision(self) -> str:
        """Kind of device and dtype: what changes a result by more than rounding in the last digits."""
        return f"{self.device.type} {'bfloat16' if self.bfloat16 else 'float32'}"

    def describe(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        precision = "bfloat16 autocast" if self.bfloat16 else "float32"
        processes = f", {self.world.size} processes" if self.world.size > 1 else ""
        processes += " that share out the networks" if self.mesh is not None else ""
        return f"{name}, {torch.get_num_threads()} threads, {precision}{processes}"


def _mesh(table: ComputeTable, device: torch.device, world: World) -> DeviceMesh | None:
    """Return the processes over which a run shards its networks, None if it does not."""
    if not table.shard:
        return None
    if world.size == 1:
        warnings.warn(
            "compute.shard has no effect in one process; start several with "
            "torchrun --nproc-per-node N -m dlmone run RECIPE",
            stacklevel=3,
        )
        return None
    from .sharding import mesh_of

    return mesh_of(device)
