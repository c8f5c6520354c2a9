"""Figures of the report: axes of shares end where shares end."""

import pytest

from dlmone.report.figures.drawing import panels, within_share


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
