"""plugins/langflow/samplers.py: the official loop, temperature, guidance, and the sampler contract."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, InputError, Noise, Start
from dlmone.plugins.langflow.options import LangFlowOptions, SamplerOptions
from dlmone.plugins.langflow.samplers import LangFlowSampler, step
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.testing import Watched, toy_teacher
from dlmone.testing.toy import EXAMPLES

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[[Tensor], Batch]
PLAIN = LangFlowSampler(SamplerOptions())


@pytest.mark.parametrize("steps", [1, 2, 8, 32])
def test_sampled_ids_are_official(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf, recorded: Callable[..., Noise], steps: int
) -> None:
    wanted, network = official("sampler"), Watched(small.network)
    batch = batch_of(torch.zeros(4, 24, dtype=torch.long))
    state, calls = PLAIN.sample(network, small.space, batch, recorded(z=wanted["z_init"]), steps)
    assert calls == len(network.calls) == steps
    assert torch.equal(small.space.decode(state, batch), wanted[f"grid64_n{steps}_ids"])
    gamma = torch.stack([small.space.schedule.gamma(call.t_B)[0] for call in network.calls]).float()
    torch.testing.assert_close(gamma, wanted[f"grid64_n{steps}_gamma"], rtol=0, atol=1e-5)
    last = network.calls[-1]
    assert (last.previous is None) == (steps == 1)
    logits_BLV = small.network.denoise(
        last.e_t, last.t_B, batch, previous=last.previous, tokens=True
    ).logits_BLV
    assert logits_BLV is not None
    final = wanted[f"grid64_n{steps}_final_logits"]
    torch.testing.assert_close(logits_BLV[:, :6], final, rtol=1e-5, atol=1e-4)
    if steps > 2:
        torch.testing.assert_close(last.e_t, wanted[f"grid64_n{steps}_z_final"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [2, 8, 32])
def test_the_loop_is_official_at_the_official_gammas(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf, steps: int
) -> None:
    """The official float32 quantiles, fed to the steps that the sampler takes."""
    wanted, schedule = official("sampler"), small.space.schedule
    batch = batch_of(torch.zeros(4, 24, dtype=torch.long))
    times = schedule.time_of_gamma(wanted[f"n{steps}_gamma"]).tolist()
    x, previous = wanted["z_init"], None
    for i, time in enumerate(times[:-1]):
        t_B, s_B = schedule.tensor(time, 4), schedule.tensor(times[i + 1], 4)
        previous = small.network.denoise(x, t_B, batch, previous=previous).x0
        x = step(schedule, previous, x, t_B, s_B)
        if i == 0:
            torch.testing.assert_close(previous, wanted[f"n{steps}_x0_first"], rtol=0, atol=1e-5)
            torch.testing.assert_close(x, wanted[f"n{steps}_z_after_first_step"], rtol=0, atol=1e-5)
    if steps > 2:
        torch.testing.assert_close(previous, wanted[f"n{steps}_x0_last"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(x, wanted[f"n{steps}_z_final"], rtol=1e-5, atol=1e-5)
    t_B = schedule.tensor(times[-1], 4)
    logits_BLV = small.network.denoise(x, t_B, batch, previous=previous, tokens=True).logits_BLV
    assert logits_BLV is not None
    torch.testing.assert_close(logits_BLV[:, :6], wanted[f"n{steps}_final_logits"], rtol=0, atol=1e-4)
    assert torch.equal(logits_BLV.argmax(-1), wanted[f"n{steps}_ids"])


def test_temperature_sharpens_the_estimates(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf, recorded: Callable[..., Noise]
) -> None:
    batch = batch_of(torch.zeros(4, 24, dtype=torch.long))
    noise = recorded(z=official("sampler")["z_init"])
    estimates = {}
    for temperature in (0.01, 1.0):
        network = Watched(small.network)
        sampler = LangFlowSampler(SamplerOptions(temperature=temperature))
        sampler.sample(network, small.space, batch, noise, 2)
        first, last = network.calls
        logits_BLV = small.network.denoise(first.e_t, first.t_B, batch, tokens=True).logits_BLV
        assert logits_BLV is not None
        assert last.previous is not None
        estimates[temperature] = last.previous
        mixture = small.space.mixture((logits_BLV / temperature).softmax(-1))
        torch.testing.assert_close(last.previous, mixture, rtol=0, atol=1e-5)
    # Cold estimates are rows of the table: of norm √D.
    norms = {key: value.norm(dim=-1).median().item() for key, value in estimates.items()}
    assert norms[0.01] == pytest.approx(8, abs=0.1)
    assert norms[1.0] < 7


@pytest.fixture(scope="module")
def guided() -> LangFlowTeacher:
    """A conditional teacher with random weights, trained without its condition too (or so it says)."""
    torch.manual_seed(0)
    options = LangFlowOptions(
        length=14,
        width=8,
        condition=4,
        layers=1,
        heads=2,
        tokenizer="words",
        conditional=True,
        condition_dropout=0.1,
    )
    teacher = LangFlowTeacher.build(options, EXAMPLES).eval().requires_grad_(False)
    for parameter in teacher.network.parameters():
        parameter += 0.5 * torch.randn_like(parameter)
    return teacher


def test_guidance_moves_the_logits_away_from_those_without_a_condition(guided: LangFlowTeacher) -> None:
    space, batch = guided.space, guided.space.collate(EXAMPLES)
    null, noise = space.null_condition(batch), Noise([(0, id) for id in batch.ids])
    network = Watched(guided.network)
    _, calls = LangFlowSampler(SamplerOptions(guidance=3)).sample(network, space, batch, noise, 2)
    assert calls == len(network.calls) == 4
    without, with_it, *later = network.calls
    assert torch.equal(without.batch.tokens_BL, null.tokens_BL)
    assert torch.equal(with_it.batch.tokens_BL, batch.tokens_BL)
    for call in network.calls:
        assert torch.equal(space.pin(call.e_t, space.embed(call.batch), call.batch), call.e_t)
    l_null, l_with = (
        guided.network.predict(call.e_t, call.t_B, call.batch).logits for call in (without, with_it)
    )
    estimate = space.mixture((l_null + 3 * (l_with - l_null)).softmax(-1))
    for call in later:
        assert call.previous is not None
        torch.testing.assert_close(call.previous, estimate)
    plain, barely = (
        LangFlowSampler(SamplerOptions(guidance=weight)).sample(guided.network, space, batch, noise, 2)[0]
        for weight in (1, 1.0001)
    )
    torch.testing.assert_close(plain, barely)


def test_ddim_draws_from_it_too_and_a_student_reads_no_estimate(guided: LangFlowTeacher) -> None:
    """The generic samplers self-condition a teacher; the one call of a student is made with zeros."""
    space, batch = guided.space, guided.space.collate(EXAMPLES)
    noise, network = Noise([(0, id) for id in batch.ids]), Watched(guided.network)
    DDIM(DDIMOptions()).sample(network, space, batch, noise, 3)
    assert [call.previous is None for call in network.calls] == [True, False, False]
    student = guided.new_generator(space.schedule.time_of_quantile(0.9)).eval()
    student.network = Watched(student.network)
    student.generate(batch, noise)
    assert [call.previous for call in student.network.calls] == [None]


def test_other_models_are_refused() -> None:
    toy = toy_teacher()
    batch = toy.space.collate(EXAMPLES)
    with pytest.raises(InputError, match="reads token logits, which this model has not; use ddim here"):
        PLAIN.sample(toy.network, toy.space, batch, Noise([(0, id) for id in batch.ids]), 2)


def test_calls_can_be_spread_evenly_in_noise(small: LangFlowTeacher, batch_of: BatchOf) -> None:
    schedule, batch = small.space.schedule, batch_of(torch.zeros(2, 24, dtype=torch.long))
    noise = Noise([(0, "a"), (0, "b")])

    def times(spacing: object, steps: int) -> Tensor:
        network = Watched(small.network)
        sampler = LangFlowSampler(SamplerOptions.model_validate({"spacing": spacing}))
        sampler.sample(network, small.space, batch, noise, steps)
        return torch.stack([call.t_B[0] for call in network.calls])

    gamma = schedule.gamma(times("log_snr", 5))  # 2·log(σ/α)
    torch.testing.assert_close(gamma.diff(), (gamma[-1] - gamma[0]).expand(4) / 4, rtol=1e-3, atol=1e-3)
    ratios = schedule.ratio(times("ratio", 5)) ** (1 / 7)
    torch.testing.assert_close(ratios.diff(), (ratios[-1] - ratios[0]).expand(4) / 4, rtol=1e-3, atol=1e-3)
    named = torch.tensor([schedule.max_time, 0.6, 0.3, schedule.min_time], dtype=torch.float64)
    torch.testing.assert_close(times([0.6, 0.3], 4), named)
    torch.testing.assert_close(times("time", 3), torch.tensor([1 - 1e-5, 0.5, 1e-5], dtype=torch.float64))
    with pytest.raises(InputError, match=r"^spacing: .* 2 is outside"):
        LangFlowSampler(SamplerOptions.model_validate({"spacing": [2.0]})).check(schedule)


@pytest.mark.parametrize("until", [1 - 1e-5, {"quantile": 1.0}])
def test_an_end_that_is_not_below_the_first_time_is_refused(small: LangFlowTeacher, until: object) -> None:
    sampler = LangFlowSampler(SamplerOptions.model_validate({"until": until}))
    with pytest.raises(InputError, match=r"^until: network calls go down from 0\.99999 and cannot end at "):
        sampler.check(small.space.schedule)


def test_of_a_student_below_the_end_one_call_can_be_had(small: LangFlowTeacher, batch_of: BatchOf) -> None:
    batch, noise = batch_of(torch.zeros(1, 24, dtype=torch.long)), Noise([(0, "a")])
    sampler, start = LangFlowSampler(SamplerOptions.model_validate({"until": 0.6})), Start(0.5, True)
    network = Watched(small.network)
    sampler.sample(network, small.space, batch, noise, 1, start)
    assert [float(call.t_B[0]) for call in network.calls] == [0.5]
    with pytest.raises(InputError, match=r"^until: network calls go down from 0\.5 and cannot end at 0\.6$"):
        sampler.sample(network, small.space, batch, noise, 2, start)
