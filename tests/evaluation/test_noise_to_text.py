"""From noise to text: every estimate of the teacher's sampling, the last of which is its output."""

from typing import Any

import pytest
import torch

from dlmone.core import Batch, Denoiser, SampledGenerator, Space
from dlmone.evaluation.noise_to_text import follow, steps_followed
from dlmone.generation.inference import generate_samples
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.runtime.device import Compute
from dlmone.testing import ToyTeacher
from dlmone.testing.toy import EXAMPLES


@pytest.fixture(scope="module")
def compute() -> Compute:
    return Compute.of(ComputeTable(device="cpu", precision="float32"))


def generator(toy: ToyTeacher, **options: float) -> SampledGenerator:
    return SampledGenerator(toy.network, toy.space, DDIM(DDIMOptions(**options)))


def test_the_last_text_is_the_sample(toy: ToyTeacher, compute: Compute) -> None:
    examples = list(EXAMPLES[:3])
    found = follow(generator(toy), examples, compute, 5, seed=7)
    written = generate_samples(generator(toy), examples, compute, steps=5, seed=7)
    assert [texts[-1] for texts in found.texts] == [sample.candidates[0] for sample in written.samples]
    assert (found.ids, found.calls) == ([example.id for example in examples], 5)
    assert {len(texts) for texts in found.texts} == {5}


def test_each_text_is_what_the_estimate_of_its_call_decodes_to(toy: ToyTeacher, compute: Compute) -> None:
    whole = follow(generator(toy), EXAMPLES[:3], compute, 2, seed=7)
    alone = generate_samples(generator(toy), EXAMPLES[:3], compute, steps=1, seed=7)
    # One step of DDIM ends at its first estimate.
    assert [texts[0] for texts in whole.texts] == [sample.candidates[0] for sample in alone.samples]


class Guided(DDIM):
    """Calls the network for the empty condition too, as guidance does."""

    def sample(self, network: Denoiser, space: Space, batch: Batch, *args: Any, **more: Any) -> Any:
        state, calls = super().sample(network, space, batch, *args, **more)
        null = space.encoded_null(batch)
        network.denoise(state, space.schedule.tensor(1, len(batch), state.device), null)
        return state, calls + 1


def test_calls_for_the_empty_condition_are_left_out(toy: ToyTeacher, compute: Compute) -> None:
    guided = SampledGenerator(toy.network, toy.space, Guided(DDIMOptions()))
    found = follow(guided, EXAMPLES[:2], compute, 3, seed=7)
    assert (found.calls, {len(texts) for texts in found.texts}) == (4, {3})
    assert found.texts == follow(generator(toy), EXAMPLES[:2], compute, 3, seed=7).texts


def test_the_network_is_as_it_was(toy: ToyTeacher, compute: Compute) -> None:
    before = {key: value.clone() for key, value in toy.network.state_dict().items()}
    follow(generator(toy), EXAMPLES[:2], compute, 2, seed=0)
    assert "denoise" not in vars(toy.network)
    assert all(torch.equal(value, before[key]) for key, value in toy.network.state_dict().items())


@pytest.mark.parametrize(
    ("teacher_steps", "wanted"),
    [((1, 2, 4, 20, 100), 100), ((1, 2000), 2000), ((1000, 2000), 1000), ((1,), None), ((), None)],
)
def test_steps_that_are_followed(teacher_steps: tuple[int, ...], wanted: int | None) -> None:
    assert steps_followed(teacher_steps) == wanted
