"""The live view of a phase on a terminal: a bar with what is left, a curve of validations, logged values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .pace import Pace

#: Levels of a curve, lowest first, and those for terminals without Unicode.
LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
#: Columns of the shortest bar that is worth showing, and of the longest.
SHORTEST, LONGEST = 8, 40
#: Columns of the longest curve, and lines of logged values.
CURVE, LINES = 40, 3
#: Between parts of a line.
GAP = "  "


@dataclass
class Curve:
    """A score's values, validation by validation."""

    name: str
    values: list[float]


@dataclass
class View:
    """What is known of a phase, drawn anew several times a second as wide as the terminal is."""

    title: str
    pace: Pace
    curve: Curve | None = None
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        yield self._bar(width)
        if self.curve and self.curve.values:
            yield self._curve(self.curve, width, ASCII_LEVELS if options.ascii_only else LEVELS)
        lines = folded(self.note, width)
        if len(lines) > LINES:
            lines[LINES - 1] = lines[LINES - 1][: width - 2] + " …"
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in lines[:LINES])

    def _bar(self, width: int) -> Table:
        """Return the first line. Count and time left stay; the bar, the rate and the title's end give way."""
        words = self.pace.words()
        room = width - len(GAP.join([self.title, *words])) - len(GAP)
        if room < -len(GAP) and len(words) == 3:
            del words[1]
        parts: list[Text | ProgressBar] = [Text(word) for word in words]
        title = self.title
        if self.pace.total is not None and room >= SHORTEST:
            bar = ProgressBar(self.pace.total, self.pace.done, width=min(room, LONGEST))
            parts.insert(0, bar)
        else:
            title = title[: max(width - len(GAP.join(["", *words])), 1)]
        line = Table.grid(padding=(0, len(GAP), 0, 0))
        line.add_row(Text(title, no_wrap=True), *parts)
        return line

    @staticmethod
    def _curve(curve: Curve, width: int, levels: str) -> Text:
        last = f"{curve.name} {curve.values[-1]:.4g}"
        ends = f"{min(curve.values):.4g} to {max(curve.values):.4g}"
        room = min(width - len(GAP.join([last, "", ends])), CURVE)
        line = GAP.join([last, sparkline(curve.values, room, levels), ends]) if room > 0 else last
        return Text(line, no_wrap=True, overflow="ellipsis")


def sparkline(values: Sequence[float], width: int, levels: str = LEVELS) -> str:
    """Draw values in a line of ``width`` characters at most, each the mean of equally many values."""
    size = -(-len(values) // width)
    ends = range(len(values), 0, -size)
    means = [fmean(values[max(end - size, 0) : end]) for end in reversed(ends)]
    low, high = min(means), max(means)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((mean - low) * scale)] for mean in means)


def folded(text: str, width: int) -> list[str]:
    """Fold a text into lines between its parts, which two spaces separate."""
    lines: list[str] = []
    for part in filter(None, text.split(GAP)):
        if lines and len(lines[-1]) + len(GAP) + len(part) <= width:
            lines[-1] += GAP + part
        else:
            lines.append(part)
    return lines
