"""The live view: what stays in narrow terminals, and curves."""

import io
import math
import re

import pytest
from rich.console import Console

from dlmone.runtime.live import ASCII_LEVELS, Curve, View, folded, sparkline
from dlmone.runtime.pace import Pace, clock
from dlmone.runtime.progress import Steps, numbers

NOTE = numbers(
    {"generator/score": 0.17, "gradient/score": 0.037, "score/mu": 1.2},
    "generator/score",
    "gradient/score",
    "score/mu",
)


def pace(total: int | None, done: int, seconds: float) -> Pace:
    """One that has done all its steps in so many seconds, until now."""
    made = Pace(total, 0)
    then, _ = made._recent[0]
    made._recent[0] = (then - seconds, 0)
    made.advance(done)
    return made


def shown(view: View, width: int, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, force_terminal=True, color_system="standard")
    console.print(view)
    file.seek(0)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", file.read()).splitlines()]


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
@pytest.mark.parametrize("title", ["stage-1", "evaluation", "a-stage-of-a-rather-long-name-as-some-have"])
def test_count_and_time_left_stay_at_every_width(title: str, width: int) -> None:
    view = View(title, pace(50_000, 1234, 617.0), Curve("bleu", [0.1, 0.2, 0.15, 0.3]), NOTE)
    first, *rest = lines = shown(view, width)
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert first.endswith("left")
        assert "1,234/50,000" in first
        assert "6:46:23 left" in first
        assert first.startswith(title[:8])
    if width >= 80:
        assert "2.00/s" in first or len(title) > 40
        assert ("\u2501" in first) == (len(title) < 40 or width == 200)
    if width >= 60:
        assert rest == ["bleu 0.3  \u2581\u2585\u2583\u2588  0.1 to 0.3", *folded(NOTE, width)]


def test_a_loss_and_its_gradient_have_labels_of_their_own() -> None:
    assert NOTE == "generator/score 0.17  gradient/score 0.037  mu 1.2"


def test_logged_values_that_have_no_place_end_in_an_ellipsis() -> None:
    view = View("stage-1", pace(10, 5, 1.0), note="  ".join(f"value_{n} 0.123" for n in range(40)))
    lines = shown(view, 80)
    assert len(lines) == 4
    assert lines[-1].endswith("\u2026")
    assert "\u2026" not in "".join(lines[:-1])


def test_an_unknown_number_of_steps_has_no_bar_and_no_end() -> None:
    assert shown(View("generating", pace(None, 12, 3.0)), 80) == ["generating  12  4.00/s"]
    assert shown(View("generating", Pace(30, 0)), 30) == ["generating  " + "\u2501" * 12 + "  0/30"]
    assert pace(40, 10, 400.0).words() == ["10/40", "40 s each", "20:00 left"]


def test_a_terminal_without_unicode_gets_a_curve_too() -> None:
    view = View("stage-1", pace(10, 5, 1.0), Curve("bleu", [0.0, 1.0]))
    assert shown(view, 80, encoding="ascii")[1] == "bleu 1  _#  0 to 1"


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([0.0, 1.0], 10, "_#"),
        ([1.0], 10, "_"),
        ([0.5, 0.5, 0.5], 10, "___"),
        ([0, 0, 1, 1, 0, 0], 3, "_#_"),
        ([9, 0, 0, 1, 1], 3, "#_."),
        (list(range(1000)), 8, "_.-:=+*#"),
    ],
)
def test_a_sparkline_is_scaled_and_averages_what_is_too_long(
    values: list[float], width: int, drawn: str
) -> None:
    assert sparkline(values, width, ASCII_LEVELS) == drawn


def test_folding_keeps_parts_whole() -> None:
    text = "stage-1  step 4  teacher_estimator_gap 0.003  d_real 0.5"
    assert folded(text, 40) == ["stage-1  step 4", "teacher_estimator_gap 0.003  d_real 0.5"]
    assert folded(text, 200) == [text]
    assert folded("", 40) == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (45, "45 s"), (200, "3:20"), (7500, "2:05:00"), (59.7, "1:00")]
)
def test_durations(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlmone.runtime.progress.QUIET_SECONDS", -1.0)
    file = io.StringIO()
    with Steps(Console(file=file, width=240), "stage-1", 10) as steps:
        steps.draw("bleu", [0.1, math.nan])
        steps.say("stage-1  step 0  bleu 0.1")
        steps.advance(note="mu 1.2")
        steps.advance()
    first, second, third = file.getvalue().splitlines()
    assert first == "stage-1  step 0  bleu 0.1"
    assert second.startswith("stage-1  1/10  ")
    assert second.endswith(" left  mu 1.2")
    assert third.startswith("stage-1  2/10  ")
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize("settings", [{"quiet": True, "force_terminal": True}, {}])
def test_what_is_not_to_be_shown_is_not(settings: dict[str, bool]) -> None:
    file = io.StringIO()
    with Steps(Console(file=file, **settings), "stage-1", 10, show=bool(settings)) as steps:
        steps.say("a line")
        steps.advance()
    assert file.getvalue() == ""
