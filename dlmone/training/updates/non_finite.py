"""Count losses and gradients that were not finite, and stop training after too many of them."""

from __future__ import annotations

from torch import Tensor

from dlmone.core import DlmoneError


class NonFinite:
    """How many losses and gradients were not finite so far.

    Losses are counted on the host, which leaves those samples out. Gradients are counted where they are: on a
    GPU the host learns their number when it asks, on logged steps and for checkpoints.

    Args:
        limit: the most that are tolerated (`compute.non_finite_limit`).
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known = 0
        self._unread: int | Tensor = 0  # a tensor of one entry, on the GPU

    def add_losses(self, count: int) -> None:
        self._known += count

    def add_gradients(self, finite: Tensor) -> None:
        """Count an update, given whether all its gradients were finite, a bool tensor of one entry."""
        if finite.device.type == "cpu":
            self._known += not finite
        else:
            self._unread = self._unread + finite.logical_not()

    @property
    def total(self) -> int | Tensor:
        """All so far, of a GPU a tensor of one entry; nobody waits."""
        return self._unread + self._known

    @property
    def count(self) -> int:
        """All so far; the host waits for the device."""
        self._known, self._unread = self._known + int(self._unread), 0
        return self._known

    @count.setter
    def count(self, count: int) -> None:
        self._known, self._unread = count, 0

    def check(self, where: str, total: float | None = None) -> None:
        """Stop training where there are too many.

        Args:
            where: names stage and step.
            total: the value of `total`, where the host has read it. If None a GPU is not asked, and its
                gradients are not counted yet.

        Raises:
            DlmoneError: there are more than the limit.
        """
        if total is None:
            total = self._known
        if total > self.limit:
            raise DlmoneError(
                f"{where}: {total:.0f} losses or gradients were not finite, more than "
                f"compute.non_finite_limit = {self.limit}; the last checkpoint is kept"
            )
