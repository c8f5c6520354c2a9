"""Ctrl-C that leaves a resumable run: noticed between steps, where the state is whole."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from dlmone.core import DlmoneError


class Interrupted(DlmoneError):
    """The user stopped the run; a checkpoint has been written."""

    exit_code = 130


class InterruptGuard:
    """While entered, the first SIGINT or SIGTERM only sets ``wanted``; a second SIGINT acts at once."""

    def __init__(self) -> None:
        self.wanted = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> InterruptGuard:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._former[number] = signal.signal(number, self._notice)
            except ValueError:  # not the main thread: the caller handles signals itself
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        # A scheduler may repeat its SIGTERM; only a person who presses again wants no checkpoint.
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = True
