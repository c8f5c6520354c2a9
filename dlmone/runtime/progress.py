"""Progress of a run: one live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Seconds between progress lines where the output is not a terminal.
QUIET_SECONDS = 20.0


class Steps:
    """Progress of one phase. On a terminal a bar with rate and time left; in a log, a line now and then.

    ``total`` is None where the number of steps is unknown.
    """

    def __init__(
        self, console: Console, title: str, total: int | None, done: int = 0, *, show: bool = True
    ) -> None:
        self.console, self.title, self.total, self.done = console, title, total, done
        self.show = show
        self._said = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque([(self._said, done)], maxlen=50)
        self._bar: Progress | None = None
        if show and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=total, completed=done, rate="", note="")

    def __enter__(self) -> Steps:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count finished steps; ``note`` is shown beside them."""
        self.done += count
        now = time.monotonic()
        self._recent.append((now, self.done))
        then, before = self._recent[0]
        rate = (self.done - before) / max(now - then, 1e-9)
        if self._bar:
            fields: dict[str, Any] = {"rate": f"{rate:.2f}/s"} | ({"note": note} if note else {})
            self._bar.update(self._task, completed=self.done, **fields)
        elif self.show and now - self._said > QUIET_SECONDS:
            self._said = now
            of, left = "", ""
            if self.total is not None:
                of, left = f"/{self.total}", f"{clock((self.total - self.done) / max(rate, 1e-9))} left  "
            self.console.print(f"{self.title}  {self.done}{of}  {rate:.2f}/s  {left}{note}", highlight=False)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.show:
            self.console.print(text, highlight=False)


def clock(seconds: float) -> str:
    """Format a duration: 45 s, 3:20, 2:05:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def numbers(values: Mapping[str, float], *names: str) -> str:
    """Format some logged values in one short line."""
    known = [name for name in names if name in values]
    ends = Counter(name.split("/")[-1] for name in known)
    # A loss and its gradient have one name but for what stands before it.
    labels = [name if ends[end := name.split("/")[-1]] > 1 else end for name in known]
    return "  ".join(f"{label} {values[name]:.4g}" for label, name in zip(labels, known, strict=True))
