"""Cut a figure into its legend's entries and its panels, which a page lays out to the width that it has."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

#: Room around a piece, in inches.
_MARGIN = 0.04


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a figure as an SVG image, ``width`` CSS pixels wide."""

    uri: str
    width: int


def legend_entries(figure: Figure) -> list[Piece]:
    """Return the entries of the legends above the panels, one by one. Call it within `drawing.style`."""
    return [
        _entry(handle, text.get_text())
        for legend in figure.legends
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    ]


def _entry(handle: Any, text: str) -> Piece:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    line = Line2D([], [])
    line.update_from(handle)
    figure = Figure()
    drawn = figure.legend(handles=[line], labels=[text], loc="center", frameon=False, borderpad=0)
    figure.draw_without_rendering()
    return _cut(figure, drawn.get_window_extent())


def panels(figure: Figure) -> list[Piece]:
    """Return the panels, those of one column equally wide and those of one row equally high."""
    pieces = []
    with _laid_out(figure), _hidden(figure.legends):
        found = ((axis, axis.get_tightbbox()) for axis in figure.axes)
        boxes = {axis: box for axis, box in found if box is not None}
        for axis in boxes:
            column = _union([box for one, box in boxes.items() if _place(one)[1] == _place(axis)[1]])
            row = _union([box for one, box in boxes.items() if _place(one)[0] == _place(axis)[0]])
            with _hidden([one for one in figure.axes if one is not axis]):
                pieces.append(_cut(figure, _box(column.x0, row.y0, column.x1, row.y1)))
    return pieces


def _place(axis: Axes) -> tuple[int, int]:
    spec = axis.get_subplotspec()
    assert spec is not None, "a panel is a subplot"
    return spec.rowspan.start, spec.colspan.start


def _cut(figure: Figure, box: Bbox) -> Piece:
    inches = box.transformed(figure.dpi_scale_trans.inverted()).padded(_MARGIN)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches=inches, metadata={"Date": None})
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Piece(f"data:image/svg+xml;base64,{content}", round(96 * inches.width))


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Keep everything where the layout of the whole figure puts it."""
    figure.draw_without_rendering()
    engine = figure.get_layout_engine()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


@contextmanager
def _hidden(artists: Sequence[Any]) -> Iterator[None]:
    for one in artists:
        one.set_visible(False)
    try:
        yield
    finally:
        for one in artists:
            one.set_visible(True)


def _union(boxes: Sequence[Bbox]) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.union(boxes)


def _box(x0: float, y0: float, x1: float, y1: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x0, y0, x1, y1)
