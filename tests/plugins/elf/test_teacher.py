"""plugins/elf/teacher.py: the contract, training, options, and what SiD asks of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Batch,
    Example,
    InputError,
    Noise,
    Noised,
    Request,
    StepContext,
    UniformTimes,
)
from dlmone.plugins.elf.options import ElfOptions
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.elf.training.muon import Muon, NesterovAdam
from dlmone.plugins.sid.dropped import Dropped
from dlmone.testing import check_teacher
from dlmone.testing.toy import EXAMPLES

Official = Callable[[str], dict[str, Tensor]]
TINY: dict[str, Any] = {
    "length": 16,
    "source_length": 8,
    "width": 16,
    "layers": 1,
    "heads": 2,
    "bottleneck": 4,
    "encoder": "random",
    "tokenizer": "words",
    "latent_std": 1.0,
    "t5": {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2},
}
LINES = [Example(example.id, "", example.target) for example in EXAMPLES]


def teacher_of(examples: Any = EXAMPLES, **options: Any) -> ElfTeacher:
    torch.manual_seed(0)
    return ElfTeacher.build(ElfOptions(**(TINY | options)), examples)


@pytest.mark.parametrize(
    ("options", "examples"),
    [
        ({}, EXAMPLES),
        ({"condition_dropout": 0.0, "student_guidance": 2.0}, EXAMPLES),
        ({"source_length": None, "condition_dropout": 0.0, "padding": "pad"}, LINES),
    ],
    ids=["conditional", "guided-student", "unconditional"],
)
def test_the_contract(options: dict[str, Any], examples: Any) -> None:
    check_teacher(lambda: teacher_of(examples, **options), examples, invertible=False)


def test_the_encoder_is_part_of_a_restored_teacher() -> None:
    teacher = teacher_of()
    keys = [key for key in teacher.state_dict() if key.startswith("space.encoder.")]
    assert "space.encoder.embed_tokens.weight" in keys
    other = ElfTeacher.restore(teacher.config(), teacher.assets())
    other.load_state_dict(teacher.state_dict())
    batch = teacher.space.collate(EXAMPLES)
    assert torch.equal(other.space.embed(batch), teacher.space.embed(batch))


def test_sid_evaluates_at_w_1_without_an_estimate(
    small: ElfTeacher, official: Official, batch_of: Callable[..., Batch]
) -> None:
    f = official("forward")
    batch, s_B = batch_of(torch.zeros(6, 24, dtype=torch.long)), 1 - f["t"].double()
    found = small.network.evaluate(f["z"], s_B, batch).x0
    pair = torch.cat([f["z"], torch.zeros_like(f["z"])], -1)
    wanted = small.network.estimate(small.network.hidden(pair, f["t"], torch.ones(6))[-1])
    assert torch.equal(found, wanted)
    assert small.network.passes == 1


def step_of(teacher: ElfTeacher, batch: Batch, request: Request) -> StepContext:
    return StepContext(
        role="generator",
        space=teacher.space,
        networks={TEACHER: teacher.network, GENERATOR: teacher.new_generator(1.0)},
        requests=[request],
        fake=batch,
        noise=Noise([(0, id) for id in batch.ids]),
        times=UniformTimes(0.5, 0.9),
        real=lambda: batch,
        real_noise=Noise([(1, id) for id in batch.ids]),
    )


def test_guidance_in_distillation_is_the_official_one(small: ElfTeacher, small_text: ElfTeacher) -> None:
    """By two calls, zeros for the states of the condition in one of them; w where there is no condition."""
    request = Request(TEACHER, Noised(), guidance=2.0)
    step = step_of(small, small.space.collate(EXAMPLES), request)
    point, found = step.point(Noised()), step[request].x0
    generated = small.space.generated(step.fake)
    empty = torch.where(generated, point.e_t, 0)
    assert not torch.equal(empty, point.e_t)
    without = small.network.denoise(empty, point.t_B, step.fake).x0
    plain = small.network.denoise(point.e_t, point.t_B, step.fake).x0
    torch.testing.assert_close(found, without + 2 * (plain - without))
    step = step_of(small_text, small_text.space.collate(LINES), request)
    point = step.point(Noised())
    wanted = small_text.network.denoise(point.e_t, point.t_B, step.fake, guidance=2.0).x0
    assert torch.equal(step[request].x0, wanted)


def test_a_dropped_condition_in_distillation_is_zeros(small: ElfTeacher) -> None:
    state = Dropped(0.5)
    step = step_of(small, small.space.collate(EXAMPLES), Request(TEACHER, state))
    point, whole = step.point(state), step.point(Noised())
    dropped_B = step.noise.uniform("condition") < 0.5
    assert 0 < int(dropped_B.sum()) < len(EXAMPLES)
    wanted = torch.where(small.space.generated(step.fake) | ~dropped_B[:, None, None], whole.e_t, 0)
    assert torch.equal(point.e_t, wanted)
    assert torch.equal(small.space.embed_condition(point.batch)[dropped_B], 0 * wanted[dropped_B])


def test_guidance_is_an_input_without_a_condition_and_two_calls_with_one() -> None:
    assert not teacher_of().network.takes_guidance
    assert teacher_of(LINES, source_length=None, condition_dropout=0.0).network.takes_guidance


def test_a_students_guidance_is_its_own(small_of: Callable[..., ElfTeacher]) -> None:
    teacher = small_of(conditional=False, student_guidance=2.5)
    batch = teacher.space.collate([Example("a", "", "word1")])
    student = teacher.new_generator(1.0).eval()
    z = Noise([(0, "a")]).normal("z", teacher.space.state_shape)
    wanted = teacher.network.denoise(2 * z, torch.ones(1), batch, guidance=2.5).x0
    assert torch.equal(student.one_step(batch, z), wanted)
    copied = student.with_network(teacher.copy_network())
    assert torch.equal(copied.one_step(batch, z), wanted)
    assert not torch.equal(teacher.network.denoise(2 * z, torch.ones(1), batch).x0, wanted)
    generated = student.generate(batch, Noise([(0, "a")]))
    assert generated.calls == 2
    assert torch.equal(generated.tokens_BL, teacher.network.decode(wanted, batch, teacher.space, 2.5)[0])


def test_matrices_are_trained_by_muon_and_the_rest_by_adam() -> None:
    teacher = teacher_of()
    muon, adam = teacher.new_optimizers(lr=0.002, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    assert isinstance(muon, Muon)
    assert isinstance(adam, NesterovAdam)
    matrices = [p for group in muon.param_groups for p in group["params"]]
    others = [p for group in adam.param_groups for p in group["params"]]
    assert all(p.dim() == 2 for p in matrices)
    assert all(p.dim() != 2 for p in others)
    assert {id(p) for p in [*matrices, *others]} == {id(p) for p in teacher.network.parameters()}
    assert all(group["lr"] == 0.002 for one in (muon, adam) for group in one.param_groups)


def test_a_batch_has_one_denominator(small_of: Callable[..., ElfTeacher]) -> None:
    teacher = small_of().train()
    batch = teacher.space.collate([Example("a", "word1", "word2"), Example("b", "word1 " * 11, "word3")])
    answer = teacher.training_loss(batch, Noise([(0, "a"), (0, "b")]))
    assert answer.weight_B is not None
    assert answer.weight_B.tolist() == [22, 12]
    parts = answer.logged["velocity_error"] + answer.logged["cross_entropy"]
    torch.testing.assert_close(parts * answer.weight_B, answer.loss_B.detach())


def test_an_encoder_comes_with_fewer_tokens_than_the_tokenizer() -> None:
    teacher = teacher_of()
    with pytest.raises(InputError, match="more than the encoder's 4"):
        ElfTeacher(
            teacher.options,
            teacher.space.vocabulary,
            teacher.space.encoder,
            teacher.sizes.model_copy(update={"vocab_size": 4}),
        )


def test_a_restored_teacher_needs_its_tokenizer() -> None:
    with pytest.raises(InputError, match=r"there is no tokenizer\.json"):
        ElfTeacher.restore(teacher_of().config(), {})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 18, "heads": 4}, r"width 18 is not a multiple of 2·heads \(8\)"),
        ({"source_length": 16}, "source_length 16 leaves no room for a target in length 16"),
        ({"source_length": None}, "condition_dropout is for a model with a condition"),
        ({"tokenizer": None}, 'encoder = "random" has no tokenizer'),
        ({"t5": {"layers": 2}}, "Extra inputs are not permitted"),
        ({"depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ElfOptions(**(TINY | options))
