"""Samplers for students: re-noising, and candidates that repel each other."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, DiffusionGenerator, FlowSchedule, InputError, Noise, Sampler, Start
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.samplers.options import RenoiseOptions, RepelOptions
from dlmone.plugins.samplers.renoise import Renoise
from dlmone.plugins.samplers.repel import Repel
from dlmone.testing import ToyOptions, ToyTeacher, Watched, check_sampler, toy_teacher
from dlmone.testing.known import Coin, NumberSpace, numbers
from dlmone.testing.toy import EXAMPLES, PAD

START = Start(1490)


def repel(strength: float) -> Repel:
    return Repel(RepelOptions(strength=strength))


def draw(
    toy: ToyTeacher, sampler: Sampler, candidate: int = 0, steps: int = 1, earlier: Sequence[Tensor] = ()
) -> tuple[Tensor, Watched]:
    network, batch = Watched(toy.network), toy.space.collate(EXAMPLES)
    noise = Noise([(0, id, candidate) for id in batch.ids])
    state, calls = sampler.sample(network, toy.space, batch, noise, steps, START, earlier)
    assert calls == steps == len(network.calls)
    return state, network


@pytest.mark.parametrize("schedule", ["sqrt", "flow"])
@pytest.mark.parametrize(
    "sampler", [Renoise(RenoiseOptions()), repel(0), repel(0.7)], ids=["renoise", "repel-0", "repel-0.7"]
)
def test_they_keep_the_contract(sampler: Sampler, schedule: str) -> None:
    check_sampler(sampler, teacher=toy_teacher(ToyOptions(schedule=schedule)))


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_renoise_writes_what_a_student_writes(toy: ToyTeacher, steps: int, unit: bool) -> None:
    batch = toy.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])
    student = DiffusionGenerator(toy.network, toy.space, START.time, unit)
    under = DiffusionGenerator(toy.network, toy.space, START.time, unit, Renoise(RenoiseOptions()))
    assert torch.equal(student.generate(batch, noise, steps).state, under.generate(batch, noise, steps).state)


def test_a_teacher_begins_at_the_last_time(toy: ToyTeacher) -> None:
    network, batch = Watched(toy.network), toy.space.collate(EXAMPLES)
    Renoise(RenoiseOptions()).sample(network, toy.space, batch, Noise([(0, id) for id in batch.ids]), 2)
    assert [call.t_B[0].item() for call in network.calls] == [1999, 999]


@pytest.mark.parametrize("steps", [1, 3])
def test_no_strength_and_no_earlier_candidate_is_renoise_exactly(toy: ToyTeacher, steps: int) -> None:
    earlier = [draw(toy, Renoise(RenoiseOptions()), candidate)[0] for candidate in range(2)]
    plain, _ = draw(toy, Renoise(RenoiseOptions()), 2, steps)
    assert torch.equal(draw(toy, repel(0), 2, steps, earlier)[0], plain)
    assert torch.equal(draw(toy, repel(0.7), 2, steps)[0], plain)
    assert not torch.equal(draw(toy, repel(0.7), 2, steps, earlier)[0], plain)


def test_the_start_has_the_signal_of_what_the_text_is_not_to_be(toy: ToyTeacher) -> None:
    space, batch = toy.space, toy.space.collate(EXAMPLES)
    earlier = [draw(toy, repel(0), candidate)[0] for candidate in (0, 1)]
    _, plain = draw(toy, repel(0), 2)
    _, pushed = draw(toy, repel(0.5), 2, earlier=earlier)
    alpha = space.schedule.alpha(torch.tensor(1490)).item()
    said = [e.masked_fill(space.blank(e, batch), 0) for e in earlier]
    shift = torch.where(space.generated(batch), -0.5 * alpha * (said[0] + said[1]) / 2, 0)
    torch.testing.assert_close(pushed.calls[0].e_t - plain.calls[0].e_t, shift, atol=1e-6, rtol=0)


def test_blanks_of_earlier_candidates_push_nothing(toy: ToyTeacher) -> None:
    batch = toy.space.collate(EXAMPLES)
    empty = Batch(
        batch.ids, batch.tokens_BL.where(~batch.target_BL, toy.space.words.index(PAD)), batch.target_BL
    )
    blank = toy.space.embed(empty)
    assert torch.equal(toy.space.blank(blank, batch)[..., 0], batch.target_BL)
    plain, _ = draw(toy, repel(0), 1)
    assert torch.equal(draw(toy, repel(0.5), 1, earlier=[blank])[0], plain)


def test_no_step_is_refused(toy: ToyTeacher) -> None:
    for sampler in (Renoise(RenoiseOptions()), repel(0.3)):
        with pytest.raises(InputError, match="at least one step, not 0"):
            draw(toy, sampler, steps=0)


# -- two texts that are known -------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2])
def test_what_was_written_is_written_less_the_stronger_the_push(steps: int) -> None:
    space, size = NumberSpace(discrete_schedule("sqrt", 2000), 1), 4000
    batch = numbers(size, 1)
    noise = Noise([(id,) for id in batch.ids])
    heads = []
    for strength in (0.0, 0.5, 1.0, 2.0):
        state, _ = repel(strength).sample(
            Coin(space.schedule), space, batch, noise, steps, START, [torch.ones(size, 1)]
        )
        heads.append((state > 0).float().mean().item())
    assert heads[0] == pytest.approx(0.5, abs=0.03)
    assert all(less < more - 0.02 for more, less in pairwise(heads))


def test_at_a_start_without_signal_nothing_can_be_pushed() -> None:
    """Flow matching ends at α = 0: what is not to be written cannot be said there."""
    toy = toy_teacher(ToyOptions(schedule="flow"))
    assert FlowSchedule().alpha(torch.tensor([1.0])).item() == 0
    batch = toy.space.collate(EXAMPLES)
    noise, earlier = Noise([(0, id) for id in batch.ids]), [toy.space.embed(batch)]
    args = (toy.network, toy.space, batch, noise, 1)
    pushed, _ = repel(1.0).sample(*args, Start(1.0), earlier)
    assert torch.equal(pushed, repel(1.0).sample(*args, Start(1.0))[0])
