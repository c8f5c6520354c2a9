"""Sum gradients over the processes in flat buckets, while the backward pass still computes the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from dlmone.core import PluginError

from .distributed import World
from .shards import is_sharded

#: Bytes of a bucket, as in PyTorch's DistributedDataParallel.
BUCKET = 25 * 2**20


class GradientSum:
    """The sum of an update's gradients over the processes (the losses carry 1/batch).

    An update may call backward several times: for each microbatch, and for each pass of a network. In its
    last call the gradients become complete one after the other; a bucket's sum begins when all of its are.

    Buckets and their order follow from the parameters alone, so every run adds up in the same order. Every
    process takes part for every parameter, also one whose share gave it no gradient. Of sharded parameters
    FSDP2 adds the gradients up.

    Args:
        parameters: those that the update trains; others are left out.
        world: the processes. With one of them every method does nothing.
        size: bytes of a bucket.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], world: World, size: int = BUCKET) -> None:
        self._world = world
        several = dict.fromkeys(parameters) if world.size > 1 else ()
        trained = [one for one in several if one.requires_grad and not is_sharded(one)]
        # The backward pass reaches the last parameters first.
        self._buckets = _buckets(trained[::-1], size)
        self._bucket_of = {one: place for place, bucket in enumerate(self._buckets) for one in bucket}
        self._waiting = False
        self._missing = [set(bucket) for bucket in self._buckets]
        self._begun: list[tuple[Tensor, Callable[[], None]]] = []
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(self._complete)  # type: ignore[no-untyped-call]

    def before_last(self) -> None:
        """Say that the next call of backward is the update's last."""
        self._waiting = True

    def finish(self) -> None:
        """Sum what is left, and wait, on a GPU without its host. Gradients are then sums."""
        self._waiting = False
        while len(self._begun) < len(self._buckets):
            self._begin()
        for bucket, (flat, wait) in zip(self._buckets, self._begun, strict=True):
            wait()
            gradients = [_gradient(parameter) for parameter in bucket]
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            shaped = [part.view(one.shape) for part, one in zip(parts, gradients, strict=True)]
            torch._foreach_copy_(gradients, shaped)
        self._missing = [set(bucket) for bucket in self._buckets]
        self._begun = []

    def _complete(self, parameter: nn.Parameter) -> None:
        """Note that a parameter has its gradient, and begin the sums of complete buckets."""
        if not self._waiting:
            return
        place = self._bucket_of[parameter]
        if place < len(self._begun):
            raise PluginError(
                "a parameter got two gradients in one backward pass, which several processes can't add up; "
                "activation checkpointing needs use_reentrant=False"
            )
        self._missing[place].discard(parameter)
        # In the buckets' order: every process then begins the same sums in the same order.
        while len(self._begun) < len(self._buckets) and not self._missing[len(self._begun)]:
            self._begin()

    def _begin(self) -> None:
        gradients = [_gradient(parameter) for parameter in self._buckets[len(self._begun)]]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._begun.append((flat, self._world.begin_sum(flat)))


def _gradient(parameter: nn.Parameter) -> Tensor:
    """Return a parameter's gradient, zeros if it has none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(parameters: Sequence[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    """Divide parameters, in their order, into buckets of one dtype and device, and of ``size`` bytes."""
    buckets: list[list[nn.Parameter]] = []
    kind: tuple[torch.dtype, torch.device] | None = None
    held = 0
    for parameter in parameters:
        bytes_ = parameter.numel() * parameter.element_size()
        if kind != (parameter.dtype, parameter.device) or held + bytes_ > size:
            buckets.append([])
            kind, held = (parameter.dtype, parameter.device), 0
        buckets[-1].append(parameter)
        held += bytes_
    return buckets
