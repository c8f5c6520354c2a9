"""Shard networks over the processes by PyTorch's FSDP2, and make whole copies of them.

A process holds its part of every sharded parameter, of its gradient and of its moments, as `DTensor`. A
network's layers are gathered one at a time where they are called.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from dlmone.core import Denoiser, InputError, Teacher

from .shards import sharded_parts, whole

Module = TypeVar("Module", bound=nn.Module)

#: A network that one process calls more often than another would wait forever. Nothing else that processes
#: do between two calls takes as long: they wait for the main one's validation before.
PATIENCE = timedelta(minutes=30)
#: PyTorch whose FSDP2 finds the tensors in what a denoiser returns, a dataclass, and sums on any backend.
OLDEST = "2.13"

#: What sharded networks were before, on the meta device: the form of their whole copies.
_forms: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def check_version() -> None:
    """Check that this PyTorch has the FSDP2 that this needs.

    Raises:
        InputError: it is too old.
    """
    if torch.__version__ < OLDEST:
        raise InputError(
            f"compute.shard needs PyTorch {OLDEST} or newer, and this is {torch.__version__}: update it, or "
            "set compute.shard = false"
        )


def mesh_of(device: torch.device) -> DeviceMesh:
    """Return the mesh of all processes. If one waits for the others for longer than `PATIENCE`, it fails."""
    return DeviceMesh.from_group(dist.new_group(timeout=PATIENCE), device.type)


def shard(module: nn.Module, mesh: DeviceMesh, space: nn.Module | None = None) -> None:
    """Move a network to the mesh's device in shards, layer by layer: a whole teacher, else its denoisers.

    The layers of a denoiser are what it repeats (`Denoiser.repeated`). What surrounds them is gathered while
    any method of the denoiser runs. A teacher in pretraining is gathered by `gathered` instead.

    Parameters of a space that a distillation's networks share, numbers (which have nothing to divide), and
    what belongs to no denoiser stay whole on every process.

    Args:
        module: a network on any device, of which no copy is to be made any more but by `whole_copy`.
        mesh: the processes.
        space: parts of the network that stay whole.
    """
    if isinstance(module, Teacher):
        _shard(module, mesh, None, ("training_loss",))
        return
    denoisers = [part for part in module.modules() if isinstance(part, Denoiser)]
    inner = {id(part) for one in denoisers for part in one.modules() if part is not one}
    for one in denoisers:
        if id(one) not in inner:
            _shard(one, mesh, space, _public_methods(one))


def _shard(root: nn.Module, mesh: DeviceMesh, space: nn.Module | None, methods: Sequence[str]) -> None:
    shared = [] if space is None else [*space.modules(), *space.parameters(), *space.buffers()]
    blank: dict[int, Any] = {id(part): part for part in shared}
    for tensor in (*root.parameters(), *root.buffers()):
        if id(tensor) not in blank:
            blank[id(tensor)] = _on_meta(tensor)
    _forms[root] = copy.deepcopy(root, blank)

    whole = set() if space is None else set(space.parameters())
    whole |= {parameter for parameter in root.parameters() if not parameter.dim()}
    passing = isinstance(root, Denoiser)
    for layer in _layers(root, whole):
        fully_shard(layer, mesh=mesh, reshard_after_forward=passing, ignored_params=whole)
    fully_shard(root, mesh=mesh, reshard_after_forward=False, ignored_params=whole)
    # Objectives don't change what a network returns in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    for part in sharded_parts(root):
        # The losses carry 1/batch: gradients are added up. FSDP2 would take their mean.
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)
        part.set_reshard_after_backward(passing, recurse=False)
    call = _Call(root, passing)
    for name in methods:
        call.gather_in(name)


def _on_meta(tensor: Tensor) -> Tensor:
    blank = torch.empty_like(tensor, device="meta")
    return nn.Parameter(blank, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else blank


def _layers(root: nn.Module, whole: set[nn.Parameter]) -> list[nn.Module]:
    """Return what is gathered apart: a denoiser's repeated modules whose parameters are theirs alone."""
    denoiser = next((part for part in root.modules() if isinstance(part, Denoiser)), None)
    owners: dict[nn.Parameter, set[nn.Module]] = {}
    for part in root.modules():
        for parameter in part.parameters(recurse=False):
            owners.setdefault(parameter, set()).add(part)

    def apart(layer: nn.Module) -> bool:
        inside = set(layer.modules())
        own = [parameter for parameter in layer.parameters() if parameter not in whole]
        called = type(layer).forward is not nn.Module.forward
        return called and bool(own) and all(owners[parameter] <= inside for parameter in own)

    return [layer for layer in dict.fromkeys(denoiser.repeated() if denoiser else ()) if apart(layer)]


def _public_methods(module: nn.Module) -> list[str]:
    """Return the methods of a network's own, by any of which it may be called."""
    kind = type(module)
    names = [name for name in dir(kind) if not name.startswith("_") and not hasattr(nn.Module, name)]
    return [name for name in names if inspect.isfunction(inspect.getattr_static(kind, name))]


class _Call:
    """Calls of a sharded network, by any of its methods.

    The outermost gathers what surrounds the layers, and gives it back: an average that is gathered once and
    then updated in its shards would be stale.
    """

    def __init__(self, root: nn.Module, passing: bool) -> None:
        self._root, self._passing = root, passing
        self._depth = 0
        # `forward` FSDP2 has seen to.
        root.register_forward_pre_hook(self._enter)
        root.register_forward_hook(self._leave, always_call=True)

    def gather_in(self, name: str) -> None:
        """Let a method gather the network's parameters if no other method that does so calls it."""
        plain: Callable[..., Any] = getattr(self._root, name)
        register_fsdp_forward_method(self._root, name)
        gathering: Callable[..., Any] = getattr(self._root, name)

        @wraps(plain)
        def method(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return plain(*args, **kwargs)
            self._enter()
            try:
                return gathering(*args, **kwargs)
            finally:
                self._leave()

        setattr(self._root, name, method)

    def _enter(self, *_: Any) -> None:
        self._depth += 1

    def _leave(self, *_: Any) -> None:
        self._depth -= 1
        if self._passing and not self._depth:
            cast(FSDPModule, self._root).reshard()


def whole_copy(module: Module) -> Module:
    """Return a whole copy of a sharded network in the host's memory, of another a copy where it is.

    Every process calls this, and gets one.
    """
    if module not in _forms:
        return copy.deepcopy(module)
    form = cast(Module, _forms[module])
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    filled: dict[int, Any] = {}
    for name, blank in (*form.named_parameters(), *form.named_buffers()):
        tensor = whole(held[name]).to("cpu", copy=True)
        parameter = isinstance(blank, nn.Parameter)
        filled[id(blank)] = nn.Parameter(tensor, blank.requires_grad) if parameter else tensor
    return copy.deepcopy(form, filled)
