"""How fast a phase goes, and what is left of it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Pace:
    """How fast a phase goes, from its last updates."""

    total: int | None
    done: int
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=50))

    def __post_init__(self) -> None:
        self._recent.append((time.monotonic(), self.done))

    def advance(self, count: int) -> None:
        self.done += count
        self._recent.append((time.monotonic(), self.done))

    @property
    def rate(self) -> float | None:
        """Steps a second; None before there are any."""
        (then, before), (last, done) = self._recent[0], self._recent[-1]
        return (done - before) / max(last - then, 1e-9) if done > before else None

    @property
    def left(self) -> float | None:
        """Seconds left, where that is known."""
        if self.total is None or not self.rate:
            return None
        since = time.monotonic() - self._recent[-1][0]
        return max((self.total - self.done) / self.rate - since, 0.0)

    def words(self) -> list[str]:
        """Return count, rate and time left, as far as they are known."""
        words = [f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"]
        if rate := self.rate:
            words.append(f"{rate:.2f}/s" if rate >= 0.1 else f"{1 / rate:.0f} s each")
        if (left := self.left) is not None:
            words.append(f"{clock(left)} left")
        return words


def clock(seconds: float) -> str:
    """Format a duration: 45 s, 3:20, 2:05:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
