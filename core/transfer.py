"""Copy tensors between host and device without either waiting for the other.

A copy from ordinary memory to a CUDA device makes the host wait until the device has done all its work; one
from pinned memory does not. A value that was copied to the device is read back from where it came from, and
one that was read is remembered until it changes.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a device's tensor holds, in the host's memory, and its version then."""

    tensor: Tensor
    version: int


#: Tensors on devices, each until it is freed.
_ORIGINS: MutableMapping[Tensor, _Origin] = WeakIdKeyDictionary()


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; a CUDA device fetches it by itself while the host goes on."""
    device = torch.device(device)
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    there = pinned.to(device, non_blocking=True)
    if not there.is_inference():  # inference tensors have no version, so changes cannot be seen
        _ORIGINS[there] = _Origin(pinned, there._version)
    return there


def on_host(tensor: Tensor) -> Tensor:
    """Return a tensor in the host's memory; treat it as read-only.

    What `to_device` copied is returned as it was there, at once. Anything else is waited for once: until it
    changes, the next call returns the same. No gradient flows back.
    """
    origin = _ORIGINS.get(tensor)
    if origin is not None and not tensor.is_inference() and origin.version == tensor._version:
        return origin.tensor
    here = tensor.detach().cpu()
    if tensor.device.type == "cuda" and not tensor.is_inference():
        _ORIGINS[tensor] = _Origin(here, tensor._version)
    return here


class PerDevice:
    """A table that is copied to each device once; treat it as read-only.

    Args:
        table: on the CPU.
    """

    def __init__(self, table: Tensor) -> None:
        self._tables = {torch.device("cpu"): table}

    def on(self, device: torch.device) -> Tensor:
        """Return the table on a device."""
        if device in self._tables:
            return self._tables[device]
        there = to_device(self._tables[torch.device("cpu")], device)
        if not torch.compiler.is_compiling():  # a tracer's tensor is not one to keep
            self._tables[device] = there
        return there
