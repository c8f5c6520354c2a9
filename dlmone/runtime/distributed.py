"""The processes of a run: one, or several under torchrun, each with its share of the global batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlmone.core import DlmoneError, InputError

from .environment import process_number
from .tensors import NamedNumbers

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


@dataclass(frozen=True, slots=True)
class World:
    """Rank and size of the process group. With one process every method is the identity."""

    rank: int = 0
    size: int = 1

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
        if torch.cuda.is_available():
            torch.cuda.set_device(process_number("LOCAL_RANK", 0, most=torch.cuda.device_count() - 1))
        if not dist.is_initialized():
            try:
                backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
                dist.init_process_group(backends, timeout=PATIENCE)
            except (ValueError, RuntimeError) as error:
                what = " ".join(str(error).split())
                raise InputError(f"the {size} processes of WORLD_SIZE cannot join: {what}") from None
        return cls(dist.get_rank(), dist.get_world_size())

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

    def sum_gradients(self, module: nn.Module) -> None:
        """Sum the gradients of a module's parameters over the processes (the losses carry 1/batch)."""
        if self.size == 1:
            return
        # Every process takes part for every parameter, also one whose share gave it no gradient.
        for parameter in module.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                with _together():
                    dist.all_reduce(parameter.grad)

    def sum_named(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Sum named numbers over the processes; a name that a process lacks counts nought there."""
        if self.size == 1:
            return sums
        totals: dict[str, float] = {}
        for part in self.gather(dict(NamedNumbers(sums))):
            for name, value in part.items():
                totals[name] = totals.get(name, 0.0) + value
        return {name: torch.tensor(total, dtype=torch.float64) for name, total in totals.items()}

    def concatenate(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        """Join the shares [b] of named per-sample tensors in rank order: the global batch's order."""
        if self.size == 1:
            return named
        parts = self.gather({name: tensor.cpu() for name, tensor in named.items()})
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: torch.cat([part[name] for part in parts if name in part]) for name in names}

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
        return any(self.gather(flag))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            with _together():
                dist.barrier()
