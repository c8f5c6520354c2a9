"""Figures of the report: axes of shares end where shares end; a page has a figure in pieces."""

import base64
import re

import matplotlib
import pytest

from dlmone.report.figures import pieces
from dlmone.report.figures.drawing import Labels, Picture, legend, panels, within_share
from dlmone.report.figures.pieces import Piece
from dlmone.report.figures.plane import _magnified


@pytest.mark.parametrize(
    ("values", "bottom", "top"),
    [([0.4, 1.0], None, 1.0), ([0.0, 0.3], 0.0, None), ([0.0, 1.0], 0.0, 1.0)],
)
def test_an_axis_of_shares_ends_at_0_and_1(
    values: list[float], bottom: float | None, top: float | None
) -> None:
    _, (axis,) = panels(1)
    (line,) = axis.plot([1, 2], values)
    axis.margins(y=0.12)
    low, high = axis.get_ylim()
    within_share(axis)
    assert axis.get_ylim() == (low if bottom is None else bottom, high if top is None else top)
    assert not line.get_clip_on()  # a point at 1 is drawn whole


@pytest.mark.parametrize("values", [[0.5, 12.0], [-0.2, 0.3]])
def test_an_axis_of_other_values_keeps_its_margins(values: list[float]) -> None:
    _, (axis,) = panels(1)
    axis.plot([1, 2], values)
    axis.margins(y=0.12)
    before = axis.get_ylim()
    within_share(axis)
    assert axis.get_ylim() == before


def test_a_label_keeps_off_the_lines() -> None:
    """Of the sides of a point, the first that no line crosses."""
    figure, (axis,) = panels(1)
    axis.set(xlim=(0, 2), ylim=(0, 2))
    axis.plot([0, 2], [0, 2])
    labels = Labels(axis)
    labels.add(1, 1, "4 calls", "black")
    labels.place()
    figure.draw_without_rendering()
    [note] = axis.texts
    [line] = axis.lines
    path = line.get_path().transformed(line.get_transform())
    assert not path.intersects_bbox(note.get_window_extent(), filled=False)


@pytest.mark.parametrize(("near", "magnified"), [((0, 0.5, 0, 1), True), ((0, 0.9, 0.1, 1), False)])
def test_a_second_panel_has_to_show_more(near: tuple[float, ...], magnified: bool) -> None:
    assert _magnified(near, (0, 1, 0, 1)) is magnified


def words(piece: Piece) -> set[str]:
    """Return the words in an image whose letters are text."""
    svg = base64.b64decode(piece.uri.partition(",")[2]).decode()
    return set(re.findall(r">([a-z]+)</text>", svg))


def test_a_figure_is_cut_into_entries_and_panels() -> None:
    titles = ["first", "second", "third", "fourth"]
    figure, axes = panels(4)
    for axis, title in zip(axes, titles, strict=True):
        axis.plot([1, 2], [1, 1000])
        axis.set_title(title)
    axes[1].set_ylabel("up")
    legend(figure, [("teacher", {"color": "red"}), ("student", {"marker": "o"})])
    picture = Picture("name", "title", "alt", figure)
    whole = picture.data("png")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        entries, parts = pieces.legend_entries(figure), pieces.panels(figure)
    assert [words(entry) for entry in entries] == [{"teacher"}, {"student"}]
    assert [words(part) - {"up"} for part in parts] == [{title} for title in titles]
    assert parts[0].width == parts[2].width
    assert parts[1].width == parts[3].width
    assert all(200 < part.width < 400 for part in parts)
    assert picture.data("png") == whole  # nothing is left hidden
