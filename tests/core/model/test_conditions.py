"""Conditions: embedded and encoded once, the reference unseen; guidance, by two calls or as an input."""

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    GeneratorInput,
    Noise,
    Noised,
    Request,
    SampledGenerator,
    StepContext,
    UniformTimes,
)
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.plugins.augmentation.options import PadOptions
from dlmone.plugins.augmentation.pad import PadAugmenter
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import ToyTeacher, new_step, toy_teacher
from dlmone.testing.contracts.spaces import other_reference
from dlmone.testing.toy import EXAMPLES, ToyNetwork, ToySpace


class ContextualSpace(ToySpace):
    """The state of a token holds a little of all tokens of its row; conditions are encoded."""

    def embed(self, batch: Batch) -> Tensor:
        e = super().embed(batch)
        return e + 0.1 * e.mean(1, keepdim=True)

    def encode(self, batch: Batch) -> Batch:
        assert not batch.encoded, "encoded twice"
        COUNTED["encode"] += 1
        states = super().embed(batch.without_target(0)) * ~batch.target_BL[..., None]
        return replace(batch, encoded={"source": states.mean(1)})


class EncodedNetwork(ToyNetwork):
    """Reads the encoded condition, and a guidance scale."""

    takes_guidance = True

    def denoise(  # type: ignore[override]
        self, e_t: Tensor, t_B: Tensor, batch: Batch, *, guidance: float = 1.0, **wanted: Any
    ) -> Denoised:
        COUNTED["denoise"] += 1
        answer = super().denoise(e_t, t_B, batch, **wanted)
        return replace(answer, x0=answer.x0 + batch.encoded["source"][:, None] * guidance)


COUNTED: Counter[str] = Counter()


@pytest.fixture
def teacher() -> ToyTeacher:
    toy = toy_teacher()
    toy.space.__class__ = ContextualSpace
    toy.network.__class__ = EncodedNetwork
    COUNTED.clear()
    return toy


def test_noised_real_data_holds_a_condition_that_has_not_seen_the_reference(teacher: ToyTeacher) -> None:
    step = new_step(teacher, "generator", [Request(TEACHER, Noised("real"))])
    given = ~step.space.generated(step.real).expand_as(step.e_real)
    blind = teacher.space.embed_condition(other_reference(step.real))
    point = step.point(Noised("real"))
    assert torch.equal(point.e_t[given], blind[given])
    assert not torch.equal(step.e_real[given], blind[given]), "a contextual space sees it in embed()"


def test_a_batch_is_encoded_once_in_an_update(teacher: ToyTeacher) -> None:
    requests = [Request(TEACHER, Noised()), Request(ESTIMATOR, Noised()), Request(TEACHER, Noised("real"))]
    step = new_step(teacher, "generator", requests)
    for request in requests:
        assert step[request].x0.isfinite().all()
    assert (COUNTED["encode"], COUNTED["denoise"]) == (2, 4), "one for each batch"


def test_an_encoding_has_no_gradient(teacher: ToyTeacher) -> None:
    """Several passes share it, and each is differentiated: a graph would be freed between."""
    teacher.space.scale = nn.Parameter(torch.ones(()))
    right = teacher.space.encode

    def encode(batch: Batch) -> Batch:
        found = right(batch)
        return replace(found, encoded={"source": found.encoded["source"] * teacher.space.scale})

    teacher.space.encode = encode  # type: ignore[method-assign]
    batch, noise = teacher.space.collate(EXAMPLES), Noise([(0, example.id) for example in EXAMPLES])
    step = StepContext(
        "generator", teacher.space, {}, [], batch, noise, UniformTimes(0, 9), lambda: batch, noise
    )
    assert not step.fake.encoded["source"].requires_grad
    assert not step.real.encoded["source"].requires_grad


@pytest.mark.parametrize(("candidates", "augmented", "encoded"), [(1, False, 1), (3, False, 1), (3, True, 3)])
def test_a_batch_is_encoded_once_for_all_its_samples(
    teacher: ToyTeacher, candidates: int, augmented: bool, encoded: int
) -> None:
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
    batch, options = teacher.space.collate(EXAMPLES), SamplingOptions(steps=2, candidates=candidates)
    if augmented:
        options = replace(options, augmenter=PadAugmenter(PadOptions()))
    generator = SampledGenerator(teacher.network, teacher.space, DDIM(DDIMOptions()))
    samples, _ = generate_batch(generator, batch, compute, options)
    assert (COUNTED["encode"], COUNTED["denoise"]) == (encoded, 2 * candidates)
    COUNTED.clear()
    student = teacher.new_generator(1490)
    generate_batch(student, batch, compute, options)
    assert COUNTED["encode"] == encoded
    assert len(samples) == len(EXAMPLES)


def test_a_sample_has_not_seen_the_reference(teacher: ToyTeacher) -> None:
    """Its given entries too: a reference embedded among them would be read at the next call."""
    batch = teacher.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])
    for generator in (
        SampledGenerator(teacher.network, teacher.space, DDIM(DDIMOptions())),
        teacher.new_generator(1490),
    ):
        states = [generator.generate(one, noise, 2).state for one in (batch, other_reference(batch))]
        assert torch.equal(cast(Tensor, states[0]), cast(Tensor, states[1]))


@pytest.mark.parametrize("network", [TEACHER, ESTIMATOR, GENERATOR], ids=str)
def test_guidance_is_an_input_of_each_network_that_takes_it(teacher: ToyTeacher, network: Any) -> None:
    state = GeneratorInput() if network is GENERATOR else Noised()
    plain, guided = (Request(network, state, guidance=kappa) for kappa in (1.0, 3.0))
    step = new_step(teacher, "generator", [plain, guided])
    difference = (step[guided].x0 - step[plain].x0) * step.mask
    expected = (2 * step.fake.encoded["source"][:, None]).expand_as(difference) * step.mask
    torch.testing.assert_close(difference, expected, atol=1e-6, rtol=1e-5)
    assert COUNTED["encode"] == 1, "no null condition is needed"
