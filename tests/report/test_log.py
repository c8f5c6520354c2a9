"""A run's log as curves: stages on one axis, smoothed."""

import pytest

from dlmone.report.log import curve, read_log, smooth


def test_stages_follow_one_another_on_one_axis(run):
    log = read_log(run / "metrics.jsonl")
    assert [(stage.name, stage.start) for stage in log.distilled().stages] == [
        ("stage-1", 0),
        ("stage-2", 20),
        ("stage-3", 40),
    ]
    assert [one.steps for one in log.curves("validation", "ema/fidelity")] == [
        [0, 10, 20],
        [20, 30, 40],
        [40, 50, 60],
    ]
    assert log.seconds("stage-2") == pytest.approx(10.0)


def test_smoothing_keeps_the_last_step_and_forgets_what_is_not_finite():
    entries = [{"kind": "train", "step": i, "x": float("nan") if i == 7 else 1.0} for i in range(3000)]
    line = smooth(curve(entries, "train", "x"))
    assert line.steps[-1] == 2999
    assert len(line.steps) < 500
    assert set(line.values) == {1.0}
