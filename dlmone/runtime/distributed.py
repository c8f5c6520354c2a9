"""The processes of a run: one, or several under torchrun, each with its share of the global batch."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dlmone.core import DlmoneError, InputError

from .environment import process_number

#: How long a process waits for the others: as long as it takes. The main one validates, reads a pipe or has a
#: longer last batch meanwhile; torchrun ends all processes if one has failed.
PATIENCE = timedelta(days=30)


@contextmanager
def _together() -> Iterator[None]:
    """Say what it means if the processes cannot talk to one another."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise DlmoneError(f"another process of this run has ended; its message says why ({reason})") from None


def _leave() -> None:
    """Leave the group in order: its threads, left to the interpreter's end, sometimes abort the process."""
    if dist.is_initialized():
        dist.destroy_process_group()


#: The name and dtype of tensors that processes share.
_Kind = tuple[str, torch.dtype]


@dataclass(frozen=True, slots=True)
class World:
    """Rank and size of the process group. With one process every method is the identity."""

    rank: int = 0
    size: int = 1
    #: What was agreed on to be shared by name, the same on every process.
    _agreed: list[_Kind] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def join(cls) -> World:
        """Join the group that torchrun describes in the environment, if it does.

        Raises:
            InputError: the environment describes none that can be joined.
        """
        size = process_number("WORLD_SIZE", 1, least=1)
        process_number("RANK", 0, most=size - 1)
        if size == 1:
            return cls()
        if not dist.is_initialized():
            try:
                backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
                dist.init_process_group(backends, timeout=PATIENCE)
                atexit.register(_leave)
            except (ValueError, RuntimeError) as error:
                what = " ".join(str(error).split())
                raise InputError(f"the {size} processes of WORLD_SIZE cannot join: {what}") from None
        return cls(dist.get_rank(), dist.get_world_size())

    def own(self, device: torch.device) -> torch.device:
        """Return this process's device. Of several each has the GPU of its LOCAL_RANK, whichever was named.

        It is the current one from then on: what names no device means this one.

        Raises:
            InputError: the machine has fewer GPUs than processes.
        """
        if self.size == 1 or device.type != "cuda":
            return device
        gpu = torch.device("cuda", process_number("LOCAL_RANK", 0, most=torch.cuda.device_count() - 1))
        torch.cuda.set_device(gpu)
        return gpu

    @property
    def main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, items: int) -> range:
        """Return the positions of a global batch that this process computes: contiguous, in rank order."""
        return range(self.rank * items // self.size, (self.rank + 1) * items // self.size)

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in rank order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _together():
            dist.all_gather_object(values, value)
        return values

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        """Begin to add up a tensor over the processes, in place.

        Returns:
            A function that waits for the sum. A GPU waits by itself, and its host goes on.
        """
        if self.size == 1:
            return lambda: None
        with _together():
            work = dist.all_reduce(values, async_op=True)

        def wait() -> None:
            with _together():
                work.wait()

        return wait

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over the processes, in place, and return it."""
        self.begin_sum(values)()
        return values

    def sum_named(self, sums: Mapping[str, Tensor], device: torch.device) -> Mapping[str, Tensor]:
        """Sum named numbers over the processes; a name that a process lacks counts nought there.

        Args:
            sums: float64 tensors of one number.
            device: where they are.
        """
        if self.size == 1 or not (kinds := self._held(sums)):
            return sums
        names = [name for name, _ in kinds]
        zero = torch.zeros((), dtype=torch.float64, device=device)
        return dict(zip(names, self.sum(torch.stack([sums.get(one, zero) for one in names])), strict=True))

    def concatenate(self, named: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Join the shares [b] of named per-sample tensors in rank order: the global batch's order.

        They are in the host's memory. Whole numbers keep their value up to 2⁵³.
        """
        if self.size == 1 or not (kinds := self._held(named)):
            return named
        own = [named.get(name, torch.zeros(0)) for name, _ in kinds]
        counts = torch.zeros(self.size, len(kinds), dtype=torch.int64)
        counts[self.rank] = torch.tensor([len(values_B) for values_B in own])
        lengths = self.sum(counts).flatten().tolist()
        before = int(counts[: self.rank].sum())
        # Each process adds its own values to the others' zeros.
        joined = torch.zeros(sum(lengths), dtype=torch.float64)
        joined[before : before + sum(map(len, own))] = torch.cat([values_B.double() for values_B in own])
        parts = torch.split(self.sum(joined), lengths)
        return {
            name: torch.cat(parts[place :: len(kinds)]).to(dtype) for place, (name, dtype) in enumerate(kinds)
        }

    def _held(self, named: Mapping[str, Tensor]) -> list[_Kind]:
        """Return the names, with dtypes, that any of the processes has, in one order for all.

        A name is agreed on when it first appears. From then on a flag tells whether it is there: the host's
        memory alone is read.
        """
        own = {(name, tensor.dtype) for name, tensor in named.items()}
        new = not own.issubset(self._agreed)
        flags = self.sum(torch.tensor([new, *(kind in own for kind in self._agreed)], dtype=torch.int32))
        found, *held = flags.tolist()
        if not found:
            return [kind for kind, count in zip(self._agreed, held, strict=True) if count]
        every = self.gather([(name, tensor.dtype) for name, tensor in named.items()])
        kinds = dict.fromkeys(kind for part in every for kind in part)
        self._agreed.extend(kind for kind in kinds if kind not in self._agreed)
        return [kind for kind in self._agreed if kind in kinds]

    def agree(self, value: Any) -> Any:
        """Return the main process's value on every process."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        with _together():
            dist.broadcast_object_list(box)
        return box[0]

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any process."""
        return bool(self.sum(torch.tensor(int(flag))))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            self.any(False)  # on the host, where a barrier of GPUs would make it wait for their work
