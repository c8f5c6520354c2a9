"""Times of several network calls: even in time or in a measure of σ/α, or named; whole and continuous."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from dlmone.core import DiffusionGenerator, FlowSchedule, InputError, Noise, NoiseSchedule, Start
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.sampling.ddim import sampling_times
from dlmone.core.sampling.spacing import spaced_times
from dlmone.core.step.renoise import renoising_times
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions, RenoiseOptions
from dlmone.plugins.samplers.renoise import Renoise
from dlmone.registry import Time, spacing_on
from dlmone.testing import ToyOptions, Watched, toy_teacher
from dlmone.testing.toy import EXAMPLES

SQRT, FLOW = discrete_schedule("sqrt", 2000), FlowSchedule()
SHARES = [0, 0.25, 0.5, 0.75]


def ratios(schedule: NoiseSchedule, times: list[float]) -> list[float]:
    return [float(schedule.ratio(schedule.tensor(time, 1))) for time in times]


@pytest.mark.parametrize(("schedule", "first"), [(SQRT, 1490), (FLOW, 0.9)], ids=["discrete", "continuous"])
@pytest.mark.parametrize(
    ("spacing", "measure"), [("log_snr", math.log), ("ratio", lambda ratio: ratio ** (1 / 7))]
)
def test_times_are_even_in_their_measure(
    schedule: NoiseSchedule, first: float, spacing: Any, measure: Any
) -> None:
    times = spaced_times(schedule, first, schedule.min_time, SHARES, spacing)
    assert times[0] == first
    along = [measure(ratio) for ratio in ratios(schedule, [*times, schedule.min_time])]
    steps = [above - below for above, below in pairwise(along)]
    # A whole time is the nearest one; near the clean end they are some way apart.
    assert steps == pytest.approx([sum(steps) / 4] * 4, rel=0.25 if schedule.discrete else 1e-9)
    if schedule.discrete:
        assert all(isinstance(time, int) for time in times)


@pytest.mark.parametrize("schedule", [SQRT, FLOW], ids=["discrete", "continuous"])
def test_named_times_are_met_and_other_numbers_of_calls_go_between(schedule: NoiseSchedule) -> None:
    first = schedule.time_of_quantile(0.75)
    named = (Time(ratio=1.2), Time(quantile=0.25), Time(time=schedule.time_of_quantile(0.1)))
    spacing = spacing_on(named, schedule, "spacing")
    assert spacing == tuple(schedule.resolve(point.point()) for point in named)
    assert renoising_times(schedule, first, 4, spacing) == [first, *spacing]
    assert renoising_times(schedule, first, 2, spacing) == [first, spacing[1]]
    assert renoising_times(schedule, first, 1, spacing) == [first]
    eight = renoising_times(schedule, first, 8, spacing)
    assert eight[::2] == [first, *spacing]
    assert eight[1] == pytest.approx((first + spacing[0]) / 2, abs=0.51 if schedule.discrete else 1e-9)
    assert sampling_times(schedule, first, 4, None, spacing) == [first, *spacing]


@pytest.mark.parametrize(
    ("schedule", "first", "end", "spacing", "sentence"),
    [
        (FLOW, 1.0, 0.001, "ratio", "σ/α has no end at 1"),
        (FlowSchedule(0.0, 1.0), 0.9, 0.0, "log_snr", r"log\(σ/α\) has no end at 0"),
        (SQRT, 1490, 0, (700, 900), "must fall, and lie below 1490 and above 0, but are 700, 900"),
        (SQRT, 3, 0, "log_snr", "times of 8 network calls must fall, but are 3, "),
    ],
)
def test_times_that_are_none_are_refused(
    schedule: NoiseSchedule, first: float, end: float, spacing: Any, sentence: str
) -> None:
    shares = [i / 8 for i in range(8)] if first == 3 else SHARES
    with pytest.raises(InputError, match=f"^spacing: .*{sentence}"):
        spaced_times(schedule, first, end, shares, spacing)


@pytest.mark.parametrize("spacing", ["time", (0.7, 0.3)])
def test_the_last_time_is_the_end_itself(spacing: Any) -> None:
    """A schedule refuses times below its range, however little."""
    first, end = 1 - 1e-5, 1e-5  # first + (end - first) is less than end
    assert first + (end - first) < end
    assert spaced_times(FLOW, first, end, [0.0, 0.5, 1.0], spacing)[-1] == end


def test_without_a_spacing_times_are_those_of_the_papers() -> None:
    even = renoising_times(FlowSchedule(0.0), 0.8, 4)
    assert spaced_times(FLOW, 0.8, 0.0, SHARES, "time") == pytest.approx(even)
    assert renoising_times(SQRT, 1490, 4) == [1490, 1117, 745, 372]


@pytest.mark.parametrize("schedule", ["sqrt", "flow"])
def test_students_and_samplers_call_at_the_times_they_are_told(schedule: str) -> None:
    toy = toy_teacher(ToyOptions(schedule=schedule))
    schedule_ = toy.space.schedule
    first = schedule_.time_of_quantile(0.75)
    student: DiffusionGenerator = toy.new_generator(first)
    student.spacing = "log_snr"
    times = renoising_times(schedule_, first, 3, "log_snr")
    assert times != renoising_times(schedule_, first, 3)
    assert student.call_times(3) == times
    student = student.with_network(Watched(student.network))
    batch = toy.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])

    def called() -> list[float]:
        found = [float(call.t_B[0]) for call in student.network.calls]
        student.network.calls.clear()
        return found

    state = student.generate(batch, noise, 3).state
    assert called() == times
    again, _ = Renoise(RenoiseOptions()).sample(student.network, toy.space, batch, noise, 3, student.start)
    assert torch.equal(again, state)
    assert called() == times
    Renoise(RenoiseOptions(spacing="time")).sample(student.network, toy.space, batch, noise, 3, student.start)
    assert called() == renoising_times(schedule_, first, 3)
    ddim = DDIM(DDIMOptions(spacing=[{"ratio": 1.0}, {"ratio": 0.5}], rounding=False))
    ddim.check(schedule_)
    ddim.sample(student.network, toy.space, batch, noise, 3, Start(first))
    assert called() == [first, schedule_.time_of_ratio(1.0), schedule_.time_of_ratio(0.5)]
