"""plugins/elf/training/progressive.py: the first and the last official round, and the contract."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import (
    GENERATOR,
    START,
    TEACHER,
    Batch,
    DiffusionGenerator,
    InputError,
    Noise,
    Objective,
    StepContext,
    UniformTimes,
)
from dlmone.core.model.schedule import FlowSchedule
from dlmone.plugins.elf.space import ElfSpace
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.elf.training.options import DecoderOptions, ProgressiveOptions
from dlmone.plugins.elf.training.progressive import Begin, Decoder, Progressive, Substep, substep_times

from ..conftest import DATA

Official = Callable[[str], dict[str, Tensor]]


class Given(ElfSpace):
    """States that were recorded, whatever the tokens."""

    x0: Tensor

    def embed(self, batch: Batch) -> Tensor:
        return self.x0


def step_of(
    teacher: ElfTeacher, student: DiffusionGenerator, objectives: list[Objective], batch: Batch, noise: Noise
) -> StepContext:
    return StepContext(
        role="generator",
        space=teacher.space,
        networks={TEACHER: teacher.network, GENERATOR: student, START: student},
        requests=[one for objective in objectives for one in objective.requests("generator") or ()],
        fake=batch,
        noise=noise,
        times=UniformTimes(0, 1),
        real=lambda: batch,
        real_noise=noise,
    )


@pytest.mark.parametrize(("name", "steps", "substeps"), [("pd_round1", 16, 4), ("pd_round5", 1, 64)])
def test_a_round_is_official(
    small_of: Callable[..., ElfTeacher],
    official: Official,
    batch_of: Callable[..., Batch],
    recorded: Callable[..., Noise],
    name: str,
    steps: int,
    substeps: int,
) -> None:
    f, teacher = official(name), small_of(conditional=False).requires_grad_(False)
    teacher.space.__class__ = Given
    teacher.space.x0 = f["x0"]  # type: ignore[attr-defined]
    student = DiffusionGenerator(teacher.copy_network().requires_grad_(True), teacher.space, 1.0)
    student.network.load_state_dict(load_file(DATA / "student.safetensors"))
    batch = batch_of(f["input_ids"], f["cond_seq_mask"])
    draws = {
        "t": f["t_s_normal"],
        "noise": f["z_noise"],
        "scale": f["w_uniform"],
        "self": 1 - f["self_cond_coin"],
        "substeps": f["teacher_times_normal"].view(4, substeps - 1),
        "signal": f["decoder_lambda_normal"].view(4, 24),
        "decoder noise": f["decoder_noise_normal"],
    }
    progressive = Progressive(ProgressiveOptions(steps=steps, substeps=substeps))
    decoder = Decoder(DecoderOptions(noise=5.0))
    step = step_of(teacher, student, [progressive, decoder], batch, recorded(4, **draws))
    decoded_B = f["decoder_active"] > 0
    denoised_B = ~decoded_B

    def close(found: Tensor, wanted: Tensor, atol: float = 1e-5) -> None:
        torch.testing.assert_close(found.float(), wanted, rtol=0, atol=atol)

    begin = step.point(Begin(steps))
    close((1 - begin.t_B)[denoised_B], f["t_s"][denoised_B])
    close(begin.e_t[denoised_B], f["z_ts"][denoised_B])
    assert begin.guidance_B is not None
    close(begin.guidance_B, f["w"])
    close(substep_times(step, progressive.options)[denoised_B], f["sub_step_times"][denoised_B])
    close(step[Substep(progressive.options).before].x0[denoised_B], f["teacher_uncond_x"][denoised_B])
    first = step.point(Substep(progressive.options))
    assert first.previous is not None
    close(first.previous[denoised_B], f["sc_half"][denoised_B])
    kept = range(4) if substeps == 4 else (0, 1, 31, 63)
    for row, index in enumerate(kept):
        following = Substep(progressive.options, index + 1).before
        if index + 1 < substeps:
            close(step[following].x0[denoised_B], f["teacher_x_per_substep"][row, denoised_B], atol=2e-5)
    close(step[progressive.teacher].x0[denoised_B], f["teacher_x_per_substep"][-1, denoised_B], atol=2e-5)
    close(progressive.target(step)[denoised_B], f["target"][denoised_B], atol=2e-5)
    close(step[progressive.student].x0[denoised_B], f["student_x"][denoised_B])
    logits_BLV = step[decoder.read].logits_BLV
    assert logits_BLV is not None
    close(logits_BLV[decoded_B], f["student_logits"][decoded_B])
    error_B, nll_B = (objective.generator_loss(step).loss_B for objective in (progressive, decoder))
    close(error_B[denoised_B].mean().detach(), f["l2_loss"])
    close(nll_B[decoded_B].mean().detach(), f["ce_loss"])
    # Officially each sample trains one of the two; here each has a term of its own.
    loss = torch.where(decoded_B, nll_B, error_B).mean()
    close(loss.detach(), f["loss"])
    step.backward(loss)
    parameters = dict(student.network.named_parameters())
    for key, wanted in f.items():
        if key.startswith("grad."):
            slope = parameters[key.removeprefix("grad.")].grad
            assert slope is not None
            close(slope, wanted)
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize(
    "objective",
    [Progressive(ProgressiveOptions(steps=2, substeps=3)), Decoder(DecoderOptions())],
    ids=["progressive", "decoder"],
)
def test_a_sample_depends_neither_on_its_mates_nor_on_its_place(
    small_of: Callable[..., ElfTeacher], objective: Objective
) -> None:
    from dlmone.testing.toy import EXAMPLES

    teacher = small_of().requires_grad_(False)
    student = teacher.new_generator(1.0)
    student.network.requires_grad_(True)
    batch = teacher.space.collate(EXAMPLES)

    def loss(rows: slice) -> Any:
        part = batch[rows]
        step = step_of(teacher, student, [objective], part, Noise([(0, id) for id in part.ids]))
        loss_B = objective.generator_loss(step).loss_B
        step.backward(loss_B.sum())
        return loss_B.detach()

    together = loss(slice(None))
    assert any(parameter.grad is not None for parameter in student.network.parameters())
    for row in range(len(batch)):
        torch.testing.assert_close(loss(slice(row, row + 1))[0], together[row], rtol=1e-4, atol=1e-5)


def test_the_objectives_are_for_elf_alone() -> None:
    for objective in (Progressive(ProgressiveOptions()), Decoder(DecoderOptions())):
        assert objective.requests("estimator") is None
        with pytest.raises(InputError, match="this objective is for ELF's teachers alone"):
            objective.check(FlowSchedule(), 1.0)
