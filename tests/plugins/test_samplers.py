"""plugins/samplers: DDIM against data whose score is known, for a VP and for a flow schedule."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import Batch, FlowSchedule, InputError, Noise, NoiseSchedule, SampledGenerator
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.sampling.ddim import ddim, ddim_step, sampling_times
from dlmone.core.sampling.flow_map import jump
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.testing import Watched, check_sampler
from dlmone.testing.known import Gaussian, NumberSpace, gaussian_x0, numbers

MEAN, STD = 1.5, 0.7
SQRT = discrete_schedule("sqrt", 2000)
SCHEDULES: dict[str, NoiseSchedule] = {"vp": discrete_schedule("linear", 2000), "flow": FlowSchedule()}


def noise_for(batch: Batch) -> Noise:
    return Noise([(0, id) for id in batch.ids])


def generate(schedule: NoiseSchedule, batch: Batch, steps: int, **options: float) -> tuple[Tensor, Watched]:
    network = Watched(Gaussian(schedule, MEAN, STD))
    sampler = DDIM(DDIMOptions.model_validate({"rounding": False, **options}))
    generator = SampledGenerator(network, NumberSpace(schedule, batch.tokens_BL.shape[1]), sampler)
    answer = generator.generate(batch, noise_for(batch), steps)
    assert answer.calls == len(network.calls) == steps
    assert answer.state is not None
    return answer.state, network


@pytest.mark.parametrize("options", [{}, {"rounding": False}, {"eta": 1, "rounding": False}])
def test_ddim_keeps_the_contract(options: dict[str, object]) -> None:
    check_sampler(DDIM(DDIMOptions.model_validate(options)))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_many_steps_draw_from_the_data(schedule: NoiseSchedule, eta: float) -> None:
    state, _ = generate(schedule, numbers(4, 5000), steps=200, eta=eta)
    assert state.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert state.std().item() == pytest.approx(STD, abs=0.02)


def test_the_last_prediction_is_as_sharp_as_the_schedules_first_time() -> None:
    """DiffuSeq's schedule starts at σ = 0.12: E[e | e_0] spreads less than e itself."""
    state, _ = generate(SQRT, numbers(2, 1000), steps=2000)
    alpha, sigma = (value(torch.tensor(0)).item() for value in (SQRT.alpha, SQRT.sigma))
    z = noise_for(numbers(2, 1000)).normal("z", (1000,))
    sharpness = (1 + (sigma / (alpha * STD)) ** 2) ** -0.5
    torch.testing.assert_close(state, MEAN + STD * sharpness * z, atol=0.03, rtol=0)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_deterministic_ddim_converges_to_the_probability_flow(schedule: NoiseSchedule) -> None:
    """For Gaussian data the flow is affine: each draw keeps its quantile."""
    batch = numbers(2, 50)
    z = noise_for(batch).normal("z", (50,))
    errors = [
        (generate(schedule, batch, steps)[0] - (MEAN + STD * z)).abs().max().item()
        for steps in (50, 100, 200)
    ]
    assert errors[2] < 0.05
    assert errors[0] > 1.6 * errors[1] > 1.6**2 * errors[2]


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_one_step_is_one_call_from_scaled_noise(schedule: NoiseSchedule) -> None:
    batch = numbers(2, 3)
    state, network = generate(schedule, batch, steps=1)
    (call,) = network.calls
    start, time = call.e_t, call.t_B[0].item()
    assert time == schedule.max_time
    sigma = schedule.sigma(torch.tensor(schedule.max_time)).item()
    torch.testing.assert_close(start, sigma * noise_for(batch).normal("z", (3,)))
    assert torch.equal(state, network.denoise(start, schedule.tensor(time, 2), batch).x0)


def test_start_chooses_the_first_time_and_its_noise() -> None:
    batch = numbers(2, 3)
    _, network = generate(SQRT, batch, steps=4, start=1490)
    assert [call.t_B[0].item() for call in network.calls] == [1490, 1117, 744, 371]
    torch.testing.assert_close(network.calls[0].e_t, 0.9284946 * noise_for(batch).normal("z", (3,)))


def test_until_chooses_where_the_calls_are() -> None:
    _, network = generate(SQRT, numbers(2, 3), steps=4, until=1600)
    assert [call.t_B[0].item() for call in network.calls] == [1999, 1899, 1799, 1699]
    _, network = generate(FlowSchedule(), numbers(2, 3), steps=2, until=0.5)
    assert [call.t_B[0].item() for call in network.calls] == [1.0, 0.75]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_given_entries_are_clean_in_every_call_and_in_the_sample(eta: float) -> None:
    state, network = generate(SQRT, numbers(2, 6, token=7, given=2), steps=5, eta=eta)
    for seen in (state, *(call.e_t for call in network.calls)):
        assert (seen[:, :2] == 7).all()
        assert (seen[:, 2:] != 7).all()


def test_rounding_replaces_each_prediction() -> None:
    state, _ = generate(SQRT, numbers(2, 6), steps=5, rounding=True)
    assert torch.equal(state, state.round())
    state, _ = generate(SQRT, numbers(2, 6), steps=5, rounding=False)
    assert not torch.equal(state, state.round())


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_draw_does_not_depend_on_its_batch(eta: float) -> None:
    batch = numbers(4, 6)
    whole, _ = generate(SQRT, batch, steps=10, eta=eta)
    part, _ = generate(SQRT, batch[1:3], steps=10, eta=eta)
    assert torch.equal(whole[1:3], part)


@settings(deadline=None)
@given(st.integers(0, 1999), st.data())
def test_whole_times_are_distinct_and_start_at_the_start(start: int, data: st.DataObject) -> None:
    until = data.draw(st.none() | st.integers(0, start))
    last = until or 0
    steps = data.draw(st.integers(1, start - last + 1))
    times = sampling_times(SQRT, start, steps, until)
    assert len(times) == steps
    assert times[0] == start
    assert times[-1] >= last
    assert all(earlier < later for later, earlier in pairwise(times))


def test_all_whole_times_can_be_visited() -> None:
    assert sampling_times(SQRT, 1999, 2000) == list(reversed(range(2000)))


def test_continuous_times_are_even_and_stop_above_the_clean_end() -> None:
    assert sampling_times(FlowSchedule(0.0, 1.0), 1.0, 4) == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize(
    ("steps", "start", "sentence"),
    [
        (0, None, "at least one step, not 0"),
        (2001, None, "2000 times from 1999 down, too few for 2001 steps"),
        (12, 10, "11 times from 10 down, too few for 12 steps"),
        (1, 2000, "start: time 2000 .* goes from 0 to 1999"),
    ],
)
def test_impossible_requests_are_refused(steps: int, start: float | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        generate(SQRT, numbers(1, 2), steps, **({} if start is None else {"start": start}))


def test_an_end_that_leaves_too_few_times_is_refused() -> None:
    with pytest.raises(InputError, match="there are 4 times from 10 down to 7, too few for 5 steps"):
        generate(SQRT, numbers(1, 2), 5, start=10, until=7)
    with pytest.raises(InputError, match="calls go down from 10 and cannot end at 11"):
        generate(SQRT, numbers(1, 2), 1, start=10, until=11)
    with pytest.raises(InputError, match=r"calls go down from 0\.5 and cannot end at 0\.6"):
        generate(FlowSchedule(), numbers(1, 2), 1, start=0.5, until=0.6)
    with pytest.raises(InputError, match=r"^until: network calls go down from 0\.5 and cannot end at 0\.5$"):
        generate(FlowSchedule(), numbers(1, 2), 2, start=0.5, until=0.5)
    generate(FlowSchedule(), numbers(1, 2), 1, start=0.5, until=0.5)
    with pytest.raises(InputError, match=r"until: time 2000 .* goes from 0 to 1999"):
        generate(SQRT, numbers(1, 2), 1, until=2000)


@pytest.mark.parametrize("start", [1490, {"ratio": 2.5}, {"quantile": 1490 / 1999}])
def test_times_in_any_form(start: object) -> None:
    until = SQRT.ratio(torch.tensor(400)).item()
    sampler = DDIM(DDIMOptions.model_validate({"start": start, "until": {"ratio": until}}))
    network, batch = Watched(Gaussian(SQRT, MEAN, STD)), numbers(1, 2)
    sampler.sample(network, NumberSpace(SQRT, 2), batch, noise_for(batch), 2)
    assert [int(call.t_B[0]) for call in network.calls] == sampling_times(SQRT, 1490, 2, 400)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"until": 2000}, r"^until: time 2000 is outside .* from 0 to 1999$"),
        (
            {"start": {"ratio": 2.5}, "until": 1500},
            r"^until: .* from 1490 and cannot end at 1500$",
        ),
        ({"start": 10.5}, r"^start: this schedule counts time in whole steps, so 10\.5 is no time$"),
    ],
)
def test_times_that_a_teacher_does_not_have_are_refused(options: dict[str, object], sentence: str) -> None:
    sampler = DDIM(DDIMOptions.model_validate(options))
    with pytest.raises(InputError, match=sentence):
        sampler.check(SQRT)


@pytest.mark.parametrize("options", [{"eta": 1.5}, {"eta": -0.1}, {"spacing": "uniform"}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DDIMOptions.model_validate(options)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("late", "early"), [(1.0, 0.6), (0.7, 0.69), (0.3, 0.0)])
def test_a_step_keeps_the_marginal(schedule: NoiseSchedule, late: float, early: float) -> None:
    """With the true x0: exactly α_s·x0 + σ_s·ε at η = 0, and noise of deviation σ_s at every η."""
    t_B, s_B = (schedule.tensor(schedule.time_of_quantile(q), 2) for q in (late, early))
    x0, noise, fresh = torch.full((2, 50_000), 3.0), torch.randn(2, 50_000), torch.randn(2, 50_000)
    x_t = schedule.diffuse(x0, t_B, noise)
    torch.testing.assert_close(
        ddim_step(schedule, x0, x_t, t_B, s_B), schedule.diffuse(x0, s_B, noise), atol=1e-4, rtol=1e-4
    )
    alpha, sigma = schedule.alpha(s_B)[0].item(), schedule.sigma(s_B)[0].item()
    for eta in (0.5, 1.0):
        rest = ddim_step(schedule, x0, x_t, t_B, s_B, eta, fresh) - alpha * x0
        assert rest.mean().item() == pytest.approx(0, abs=0.02 * sigma)
        assert rest.std().item() == pytest.approx(sigma, rel=0.01)


def test_a_stochastic_step_is_the_ddpm_posterior() -> None:
    """η = 1, s = t − 1: mean and variance are β·√ᾱ_s/(1−ᾱ_t)·x0 + … of Ho et al.'s Eq. 7."""
    t = 1490
    beta, bar_t, bar_s = SQRT.betas[t], SQRT.alphas_cumprod[t], SQRT.alphas_cumprod[t - 1]
    x0, x_t, fresh = torch.randn(3, 1, 10, dtype=torch.float64)
    mean = beta * bar_s.sqrt() / (1 - bar_t) * x0 + (1 - bar_s) * (1 - beta).sqrt() / (1 - bar_t) * x_t
    variance = beta * (1 - bar_s) / (1 - bar_t)
    x_s = ddim_step(SQRT, x0, x_t, torch.tensor([t]), torch.tensor([t - 1]), 1.0, fresh)
    torch.testing.assert_close(x_s, mean + variance.sqrt() * fresh)


@pytest.mark.parametrize("conditioned", [True, False])
def test_each_call_is_handed_the_estimate_of_the_one_before(conditioned: bool) -> None:
    schedule, batch = SCHEDULES["vp"], numbers(2, 3)
    network = Watched(Gaussian(schedule, MEAN, STD))
    network.self_conditioning = conditioned
    sampler = DDIM(DDIMOptions(rounding=False))
    sampler.sample(network, NumberSpace(schedule, 3), batch, noise_for(batch), 3)
    estimates = [gaussian_x0(schedule, MEAN, STD, call.e_t, call.t_B) for call in network.calls]
    handed = [call.previous for call in network.calls]
    assert handed[0] is None
    for previous, estimate in zip(handed[1:], estimates[:-1], strict=True):
        assert (previous is not None) == conditioned
        assert previous is None or torch.equal(previous, estimate)


def test_a_step_to_its_own_time_stays_where_it_is() -> None:
    """At a flow's start too, where α = 0: a flow map takes such steps."""
    schedule = FlowSchedule()
    x_t, x0 = torch.randn(2, 4, 3, 1, generator=torch.Generator().manual_seed(0))
    t_B = schedule.tensors([1.0, 1.0, 0.5, 0.25], "cpu")
    torch.testing.assert_close(ddim_step(schedule, x0, x_t, t_B, t_B), x_t)
    torch.testing.assert_close(jump(schedule, x0, x_t, t_B, t_B), x_t)


def test_a_random_step_needs_noise() -> None:
    x = torch.zeros(1, 3, 1)
    with pytest.raises(ValueError, match="needs fresh noise"):
        ddim_step(SQRT, x, x, SQRT.tensor(1000, 1), SQRT.tensor(500, 1), eta=0.5)
    with pytest.raises(ValueError, match="needs fresh noise"):
        ddim(SQRT, lambda x, t_B: x, x, [1000, 500], eta=0.5)
