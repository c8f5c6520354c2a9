"""Progress of a phase of a run: a live view on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from types import TracebackType

from rich.console import Console
from rich.live import Live

from .live import Curve, View, folded
from .pace import Pace

#: Seconds between progress lines where the output is not a terminal.
QUIET_SECONDS = 20.0


class Steps:
    """Progress of one phase: on a terminal as a live view, in a log as a line now and then.

    ``total`` is None where the number of steps is unknown.
    """

    def __init__(
        self, console: Console, title: str, total: int | None, done: int = 0, *, show: bool = True
    ) -> None:
        self.console, self.show = console, show
        self._said = time.monotonic()
        self._pace = Pace(total, done)
        self._view = View(title, self._pace)
        self._live: Live | None = None
        # A terminal that cannot move its cursor takes lines.
        if show and not console.quiet and console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(self._view, console=console, transient=True)

    def __enter__(self) -> Steps:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def done(self) -> int:
        """How many steps are finished."""
        return self._pace.done

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count finished steps; ``note`` is shown with them, until there is another."""
        self._pace.advance(count)
        self._view.note = note or self._view.note
        now = time.monotonic()
        if self.show and not self._live and now - self._said > QUIET_SECONDS:
            self._said = now
            parts = [self._view.title, *self._pace.words(), *filter(None, [note])]
            self.console.print("  ".join(parts), highlight=False)

    def draw(self, name: str, values: Sequence[float]) -> None:
        """Show a score's values so far as a curve."""
        self._view.curve = Curve(name, [value for value in values if isfinite(value)])

    def say(self, text: str) -> None:
        """Print a line that stays, folded between its parts where a terminal is too narrow for it."""
        if self.show:
            lines = folded(text, self.console.width) if self.console.is_terminal else [text]
            self.console.print("\n".join(lines), highlight=False)


def numbers(values: Mapping[str, float], *names: str) -> str:
    """Format some logged values in one short line."""
    known = [name for name in names if name in values]
    ends = Counter(name.split("/")[-1] for name in known)
    # A loss and its gradient have one name but for what stands before it.
    labels = [name if ends[end := name.split("/")[-1]] > 1 else end for name in known]
    return "  ".join(f"{label} {values[name]:.4g}" for label, name in zip(labels, known, strict=True))
