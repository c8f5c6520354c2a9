"""The one step, its re-noised repetition (Table 4), and generation without gradient."""

import copy
import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    Batch,
    DiffusionGenerator,
    FlowSchedule,
    InputError,
    Noise,
    NoiseSchedule,
    SampledGenerator,
    Sampler,
    Start,
)
from dlmone.core.model.denoiser import Denoiser
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.model.space import Space
from dlmone.core.step.renoise import renoise, renoising_times
from dlmone.testing import ToyOptions, ToyTeacher, Watched, toy_teacher
from dlmone.testing.toy import EXAMPLES

T_INIT = 1490


def student(
    toy: ToyTeacher, unit_input: bool = False, t_init: float = T_INIT
) -> tuple[DiffusionGenerator, Watched, Batch, Noise]:
    generator = toy.new_generator(t_init, unit_input)
    generator.network = network = Watched(generator.network)
    batch = toy.space.collate(EXAMPLES)
    return generator.requires_grad_(True), network, batch, Noise([(0, id) for id in batch.ids])


@pytest.mark.parametrize(("unit_input", "scale"), [(False, 0.92849), (True, 1.0)])
def test_the_input_is_scaled_noise_beside_the_clean_condition(
    toy: ToyTeacher, unit_input: bool, scale: float
) -> None:
    generator, network, batch, noise = student(toy, unit_input)
    z = noise.normal("z", toy.space.state_shape)
    e = generator.one_step(batch, z)
    [call] = network.calls
    given, clean = ~toy.space.generated(batch), toy.space.embed(batch)
    torch.testing.assert_close(call.e_t, torch.where(given, clean, scale * z), rtol=0, atol=1e-4)
    assert call.t_B.tolist() == [T_INIT] * len(batch)
    assert torch.equal(e * given, clean * given), "the output's condition is the clean one again"
    assert not torch.equal(e, clean)
    assert e.requires_grad


@pytest.mark.parametrize(("steps", "times"), [(1, [1490]), (2, [1490, 745]), (4, [1490, 1117, 745, 372])])
def test_steps_call_the_network_at_the_papers_times(toy: ToyTeacher, steps: int, times: list[int]) -> None:
    generator, network, batch, noise = student(toy)
    generated = generator.generate(batch, noise, steps)
    assert [call.t_B.unique().tolist() for call in network.calls] == [[time] for time in times]
    assert generated.calls == steps
    ratios = [toy.space.schedule.ratio(torch.tensor(time)).item() for time in times]
    assert ratios == pytest.approx([2.50, 1.71, 1.24, 0.86][:: 4 // steps][: len(ratios)], abs=0.01)


@pytest.mark.parametrize("steps", range(1, 41))
def test_whole_times_are_the_exact_ones_rounded_down(toy: ToyTeacher, steps: int) -> None:
    """1490·(1 − 1/5) is 1192; floats that are multiplied one after the other say 1191."""
    exact = [math.floor(T_INIT * Fraction(steps - i, steps)) for i in range(steps)]
    assert renoising_times(toy.space.schedule, T_INIT, steps) == exact


def test_a_schedule_that_begins_later_counts_from_its_first_time() -> None:
    schedule = discrete_schedule("sqrt", 2000)
    schedule.min_time = 20
    assert renoising_times(schedule, 625, 5) == [625, 504, 383, 262, 141]


def test_continuous_times_count_from_the_first_one() -> None:
    toy = toy_teacher(ToyOptions(schedule="flow"))
    schedule: NoiseSchedule = FlowSchedule()
    generator, network, batch, noise = student(toy, t_init=schedule.max_time)
    generator.generate(batch, noise, 4)
    times = [call.t_B[0].item() for call in network.calls]
    assert times == pytest.approx([schedule.min_time + 0.999 * share for share in (1, 0.75, 0.5, 0.25)])


def test_each_step_diffuses_the_last_answer_with_fresh_noise(toy: ToyTeacher) -> None:
    generator, network, batch, noise = student(toy)
    first = generator.generate(batch, noise).state
    generator.generate(batch, noise, 2)
    assert first is not None
    schedule, mask = toy.space.schedule, toy.space.generated(batch)
    z, fresh = (noise.normal(name, toy.space.state_shape) for name in ("z", "z1"))
    again = schedule.diffuse(first, network.calls[-1].t_B, fresh)
    torch.testing.assert_close(network.calls[-1].e_t, torch.where(mask, again, toy.space.embed(batch)))
    assert not torch.equal(z, fresh)


def test_generate_is_without_gradient_and_decodes_its_state(toy: ToyTeacher) -> None:
    generator, network, batch, noise = student(toy)
    generated = generator.generate(batch, noise, 2)
    assert generated.state is not None
    assert not generated.state.requires_grad
    assert not any(call.graph for call in network.calls)
    assert torch.equal(generated.tokens_BL, toy.space.decode(generated.state, batch))
    assert torch.equal(generated.tokens_BL[~batch.target_BL], batch.tokens_BL[~batch.target_BL])


def test_what_is_generated_depends_on_the_key_alone(toy: ToyTeacher) -> None:
    generator, _, batch, noise = student(toy)
    together = generator.generate(batch, noise, 2)
    alone = generator.generate(batch[1:2], Noise([(0, EXAMPLES[1].id)]), 2)
    other = generator.generate(batch, Noise([(1, id) for id in batch.ids]), 2)
    assert together.state is not None
    assert other.state is not None
    torch.testing.assert_close(alone.state, together.state[1:2], rtol=1e-9, atol=1e-12)
    assert (other.state - together.state).abs().max() > 0.01


def test_theta_is_a_copy_that_shares_the_space(toy: ToyTeacher) -> None:
    generator = toy.new_generator(T_INIT)
    before = copy.deepcopy(toy.network.state_dict())
    with torch.no_grad():
        for parameter in generator.network.parameters():
            parameter.add_(1)
    assert generator.space is toy.space
    assert all(torch.equal(value, before[name]) for name, value in toy.network.state_dict().items())


def test_a_sampled_generator_reports_what_its_sampler_did(toy: ToyTeacher) -> None:
    class Two(Sampler):
        def sample(
            self,
            network: Denoiser,
            space: Space,
            batch: Batch,
            noise: Noise,
            steps: int,
            start: Start | None = None,
            earlier: Sequence[Tensor] = (),
        ) -> tuple[Tensor, int]:
            assert start is None
            t_B = space.schedule.tensor(T_INIT, len(batch))
            assert not torch.is_grad_enabled()
            return network.denoise(space.embed(batch), t_B, batch).x0, 2 * steps

    _, _, batch, noise = student(toy)
    generated = SampledGenerator(toy.network, toy.space, Two()).generate(batch, noise, 3)
    assert generated.calls == 6
    assert generated.state is not None
    assert torch.equal(generated.tokens_BL, toy.space.decode(generated.state, batch))


@pytest.mark.parametrize(("k", "steps"), [(0, 1), (0, 0), (5, 4)])
def test_a_call_that_is_not_there_is_refused_in_a_sentence(toy: ToyTeacher, k: int, steps: int) -> None:
    generator, _, batch, noise = student(toy)
    with pytest.raises(InputError, match=f"a student of {steps} network calls has no call {k}"):
        generator.roll_out(batch, noise, k, steps)


def test_no_calls_at_all_are_refused_in_a_sentence(toy: ToyTeacher) -> None:
    generator, network, batch, noise = student(toy)
    with pytest.raises(InputError, match="no call 0"):
        generator.generate(batch, noise, steps=0)
    z = noise.normal("z", toy.space.state_shape)
    with pytest.raises(InputError, match="at least one step, not 0"):
        renoise(network, toy.space, batch, z, [], noise)
