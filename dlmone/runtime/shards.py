"""Tensors of which every process may hold a part: their parts, their norms, and their whole values.

Functions that take tensors take plain ones too, and leave them as they are: nothing else has to know
whether a run shards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Within, all of a teacher's parameters are there, in forward and backward passes.

    A teacher's own loss may call its network now more and now less often, as its draws have it (a first pass
    for self-conditioning). Were layers gathered call by call, processes would wait for one another forever.
    """
    parts = sharded_parts(module)
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()


def sharded_parts(module: nn.Module) -> list[FSDPModule]:
    """Return the modules of a network that FSDP2 gathers one by one."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return [] if fsdp is None else [part for part in module.modules() if isinstance(part, fsdp.FSDPModule)]


def is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    """Tell whether this process holds a part of a tensor alone."""
    # Where nothing was sharded, its class was not imported: that takes a third of a run's imports.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, in the same memory."""
    if is_sharded(tensor):
        with torch.no_grad():
            return tensor.to_local()
    return tensor


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its parts, without gradient. Every process calls this for the same ones."""
    with torch.no_grad():
        return tensor.full_tensor() if is_sharded(tensor) else tensor.detach()


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a network's whole state, what was sharded in the host's memory. Every process calls this."""
    state: dict[str, Tensor] = module.state_dict()
    return {name: whole(tensor).cpu() if is_sharded(tensor) else tensor for name, tensor in state.items()}


def part_like(value: Tensor, reference: Tensor) -> Tensor:
    """Return this process's part of a whole value, divided as ``reference`` is; its memory is its own.

    Where the shapes differ, the value is returned.
    """
    value = value.to(reference.device, copy=True)
    if is_sharded(reference) and value.shape == reference.shape:
        from torch.distributed.tensor import distribute_tensor

        mesh, placements = reference.device_mesh, reference.placements
        return distribute_tensor(value, mesh, placements, src_data_rank=None).clone()
    return value


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a whole state, of which a sharded network takes its parts.

    Raises:
        RuntimeError: names or shapes are not the network's.
    """
    held = module.state_dict()
    parts = {name: part_like(value, held[name]) if name in held else value for name, value in state.items()}
    module.load_state_dict(parts)


def norms(tensors: Iterable[Tensor]) -> Tensor:
    """Return the 2-norms of whole tensors, [number of tensors], the same on every process."""
    tensors = list(tensors)
    found = torch.stack(torch._foreach_norm([local(tensor) for tensor in tensors]))
    meshes = [tensor.device_mesh for tensor in tensors if is_sharded(tensor)]
    if not meshes:
        return found
    divided = torch.tensor([is_sharded(tensor) for tensor in tensors], device=found.device)
    squares = torch.where(divided, found.double().square(), 0.0)
    dist.all_reduce(squares, group=meshes[0].get_group())
    return torch.where(divided, squares.sqrt().to(found.dtype), found)
