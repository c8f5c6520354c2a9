"""Define the figures' style: colour-blind safe colours, panels in a grid, SVG for the page."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .pieces import Piece, legend_entries
from .pieces import panels as panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox

#: What a PNG file says it was made by.
SOFTWARE = "dlmone"
#: Okabe and Ito's palette without yellow, which is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#777777"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.5,
    "savefig.transparent": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "dlmone",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        yield


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: its anchor, and its file's name.
        title: its caption.
        alt: its text alternative, for screen readers.
    """

    name: str
    title: str
    alt: str
    figure: Figure

    def data(self, form: str = "svg") -> bytes:
        """Return the figure as a file of that format; equal figures give equal bytes."""
        buffer = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": SOFTWARE}
        face: dict[str, Any] = {} if form == "svg" else {"facecolor": "white", "transparent": False}
        self.figure.savefig(buffer, format=form, dpi=110, metadata=metadata, **face)
        return buffer.getvalue()

    @property
    def entries(self) -> list[Piece]:
        """The legend's entries, as images of their own."""
        return legend_entries(self.figure)

    @property
    def panels(self) -> list[Piece]:
        """The panels, as images of their own."""
        return panels_of(self.figure)


def panels(count: int, height: float = 2.5, width: float = 3.55) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels, at most three in a row, of a size in inches each.

    It has no window and needs no display.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    columns = min(3, count) if count != 4 else 2
    rows = -(-count // columns)
    figure = MatplotlibFigure(figsize=(max(width * columns, 5.2), height * rows + 0.4))
    figure.set_layout_engine("constrained", hspace=0.08)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


#: A single run's colours and markers, as places in `COLOURS` and `MARKERS`.
TEACHER, STUDENT = 0, 1


def within_share(axis: Axes) -> None:
    """Let an axis of shares end at 0 and 1 where its margins would go on, and mark points there whole."""
    bottom, top = axis.dataLim.intervaly
    if not (bottom >= 0 and top <= 1):
        return
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, 0), min(high, 1))
    for line in axis.lines:
        line.set_clip_on(False)


def look(run: int, series: int, runs: int) -> dict[str, Any]:
    """Return a line's style: colours tell runs apart, or the series of a single run.

    Lines of earlier runs are wider, so that they stay visible below identical later ones.
    """
    colour = series if runs == 1 else run
    width = 1.5 + 0.6 * min(runs - 1 - run, 2)
    return {
        "color": COLOURS[colour % len(COLOURS)],
        "linestyle": DASHES[series % len(DASHES)],
        "linewidth": width,
    }


#: A legend's text and line style.
Entry = tuple[str, dict[str, Any]]


def runs_entries(names: Sequence[str]) -> list[Entry]:
    """Return the legend entries of runs; none for a single run."""
    many = len(names) > 1
    return [(name, {"color": COLOURS[i % len(COLOURS)]}) for i, name in enumerate(names)] if many else []


def series_entries(labels: Sequence[str], runs: int, marked: bool = False) -> list[Entry]:
    """Return the legend entries of series, in grey where colours denote runs."""
    looks = [look(0, place, runs) | ({"color": GREY} if runs > 1 else {}) for place in range(len(labels))]
    markers = [{"marker": MARKERS[place % len(MARKERS)]} if marked else {} for place in range(len(labels))]
    return [(label, one | marker) for label, one, marker in zip(labels, looks, markers, strict=True)]


def handles(entries: Sequence[Entry]) -> list[Line2D]:
    """Return lines for a legend, all of one width."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=label, **(looks | {"linewidth": 1.5})) for label, looks in entries]


def legend(figure: Figure, entries: Sequence[Entry]) -> None:
    """Put a legend above all panels, in as many columns as fit."""
    if entries:
        inches = 0.55 + 0.065 * max(len(label) for label, _ in entries)
        columns = max(1, min(len(entries), int(figure.get_figwidth() / inches)))
        figure.legend(handles=handles(entries), loc="outside upper center", ncols=columns, frameon=False)


class Labels:
    """Labels next to points, each on the side where it overlaps others, and lines, least."""

    #: Possible positions of a label, as offsets in points and alignments.
    _SIDES = (
        (5, 4, "left", "bottom"),
        (5, -4, "left", "top"),
        (-5, 4, "right", "bottom"),
        (-5, -4, "right", "top"),
        (0, 8, "center", "bottom"),
        (0, -8, "center", "top"),
    )

    def __init__(self, axis: Axes) -> None:
        self.axis = axis
        self.points: list[tuple[float, float, str, str]] = []
        self.marks: list[tuple[float, float]] = []

    def add(self, x: float, y: float, text: str, colour: str) -> None:
        """Name a point; nothing is drawn before `place`."""
        self.points.append((x, y, text, colour))
        self.keep_free(x, y)

    def keep_free(self, x: float, y: float) -> None:
        """Keep the marker of this point free of labels."""
        self.marks.append((x, y))

    def place(self) -> None:
        """Draw the labels, once all points and the axes' limits are known."""
        from matplotlib.transforms import Bbox

        figure: Any = self.axis.figure
        figure.draw_without_rendering()
        taken = [
            Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in map(self.axis.transData.transform, self.marks)
        ]
        lines = [line.get_path().transformed(line.get_transform()) for line in self.axis.lines]
        named: list[tuple[str, float, float]] = []
        for x, y, text, colour in self.points:
            across, along = self.axis.transData.transform((x, y))
            if any(text == one and abs(across - x1) + abs(along - y1) < 4 for one, x1, y1 in named):
                continue  # the same point under the same name
            named.append((text, across, along))
            taken.append(self._place(x, y, text, colour, taken, lines))

    def _place(
        self, x: float, y: float, text: str, colour: str, taken: Sequence[Bbox], lines: Sequence[Path]
    ) -> Bbox:
        tried: list[tuple[int, int, Any, Bbox]] = []
        for right, up, across, along in self._SIDES:
            note = self.axis.annotate(
                text,
                (x, y),
                xytext=(right, up),
                textcoords="offset points",
                ha=across,
                va=along,
                fontsize=7,
                color=colour,
            )
            box = note.get_window_extent()
            outside = not self.axis.bbox.contains(*box.min) or not self.axis.bbox.contains(*box.max)
            crossed = sum(line.intersects_bbox(box, filled=False) for line in lines)
            tried.append((outside + sum(map(box.overlaps, taken)) + crossed, len(tried), note, box))
        _, kept, _, box = min(tried, key=lambda one: one[:2])
        for _, place, note, _ in tried:
            if place != kept:
                note.remove()
        return box
