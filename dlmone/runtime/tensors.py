"""Named tensors: save them as a safetensors file; read numbers from a device all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Save tensors of any layout, with the permissions of other files.

    The format stores plain blocks: a transposed tensor is copied into one, and of tensors that share memory
    (tied weights) each gets its own, so that all load by their names.

    Raises:
        OSError: the file cannot be written.
        SafetensorError: the same, where the library says so.
    """
    path.touch()  # safetensors makes files that their owner alone can read; an ordinary one follows the umask
    mode = path.stat().st_mode
    blocks: set[int] = set()
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = tensor.detach().cpu().contiguous()
        place = block.untyped_storage().data_ptr()
        plain[name] = block.clone() if place in blocks else block
        blocks.add(place)
    save_file(plain, path, metadata=dict(metadata) if metadata is not None else None)
    path.chmod(mode)


def host_copy(tensors: Iterable[tuple[str, Tensor]]) -> tuple[dict[str, Tensor], Callable[[], None]]:
    """Copy named tensors into plain blocks of the host's memory, each its own.

    A GPU copies into pinned memory after the work that it was given before; the host does not wait.

    Returns:
        The copies, and a function that waits until they are whole. Any thread may call it.
    """
    copies: dict[str, Tensor] = {}
    devices: set[torch.device] = set()
    for name, tensor in tensors:
        on_gpu = tensor.device.type == "cuda"
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=on_gpu)
        copies[name] = copy.copy_(tensor.detach(), non_blocking=True)
        if on_gpu:
            devices.add(tensor.device)
    events = [torch.cuda.current_stream(device).record_event() for device in devices]

    def whole() -> None:
        for event in events:
            event.synchronize()

    return copies, whole


def read_together(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors of one shape in the host's memory, in one copy from each device.

    Whole numbers keep their value up to 2⁵³.
    """
    read: dict[torch.device, Iterator[Tensor]] = {}
    for device in {tensor.device for tensor in tensors}:
        there = [tensor.detach() for tensor in tensors if tensor.device == device]
        if device.type != "cpu":
            there = [*torch.stack([one.double() for one in there]).cpu().unbind()]
        read[device] = iter(there)
    return [next(read[tensor.device]).to(tensor.dtype) for tensor in tensors]


class NamedNumbers(Mapping[str, float]):
    """Named numbers, of which some are tensors. The first look reads all, in one copy from each device.

    Args:
        named: numbers, and tensors of one number.
    """

    def __init__(self, named: Mapping[str, float | Tensor]) -> None:
        self._named = named
        self._read: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        if self._named and not self._read:
            held = {name: value for name, value in self._named.items() if isinstance(value, Tensor)}
            read = dict(zip(held, map(float, read_together([*held.values()])), strict=True))
            self._read = {
                name: read[name] if name in read else float(value) for name, value in self._named.items()
            }
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)
