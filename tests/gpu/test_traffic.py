"""What passes between host and device in a step, counted on fake CUDA tensors and held to a budget.

Where the host waits, the device runs dry. The one wait of an update is the guard against a loss that is not
finite, that of inference the tokens. `pytest tests/gpu -s` prints the lines that wait and copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.distillation import Distillation
from dlmone.training.saving.checkpoint_writer import CheckpointWriter

from .fake_cuda import CUDA, FakeCuda, Traffic, traffic_of
from .workloads import (
    COMPUTE,
    SID_WITH_GAN,
    examples,
    new_generator,
    new_pretraining,
    new_stage,
    new_teacher,
)

#: Asynchronous copies of an update to the device, at most: batch, noise, and indices that the host knows.
MOST_COPIES = 16
#: Distributions of training times of DiffuSeq's teacher.
TIMES: dict[str, dict[str, Any]] = {
    "lossaware": {},
    "uniform": {"time_sampler": "uniform"},
    "noisy": {"time_sampler": "noisy", "noisy_from": 1000},
}
LOG_NORMAL = {"mean": -1.2, "std": 1.2}


def only(use: str, **options: Any) -> dict[str, Any]:
    """Return a table of one objective, in both roles."""
    return {"only": {"use": use, "generator_weight": 1.0, "estimator_weight": 1.0, **options}}


#: Objectives of a stage, and its options.
STAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sid + diffusion_gan": (SID_WITH_GAN, {}),
    "log-normal times": (SID_WITH_GAN, {"generator_times": LOG_NORMAL, "estimator_times": LOG_NORMAL}),
    "four calls": (SID_WITH_GAN, {"calls": 4}),
    "guidance": (
        only("sid", teacher_guidance=1.5, estimator_guidance=1.5, condition_dropout=0.1),
        {"estimator_average": 0.9},
    ),
    "diff_instruct": (only("diff_instruct"), {}),
    "moment_matching": (only("moment_matching"), {}),
    "sds": (only("sds"), {}),
    "regression": (only("regression"), {}),
    "regression of the student": (only("regression", initial="student", spacing="ratio"), {"calls": 3}),
    "consistency": (only("consistency", order=2), {}),
    "flow_map": (only("flow_map"), {}),
    "progressive": (only("progressive"), {}),
    "sequence_level": (only("sequence_level"), {}),
    "elf_progressive": ({**only("elf_progressive"), "reading": only("elf_decoder")["only"]}, {}),
}
#: Which of them are counted for which family; what most objectives do is not a family's own.
OF_DIFFUSEQ = [
    name
    for name in STAGES
    if name not in ("sid + diffusion_gan", "guidance", "sequence_level", "elf_progressive")
]
OTHERS = {
    "langflow": ("sid + diffusion_gan", "log-normal times", "guidance", "sequence_level"),
    "elf": ("sid + diffusion_gan", "log-normal times", "elf_progressive"),
}
#: Samplers of a family, each with its steps; the one-step student is None.
SAMPLERS: dict[str, list[tuple[str | None, int]]] = {
    "diffuseq": [(None, 1), ("ddim", 4), ("renoise", 4), ("repel", 1), ("diffuseq_ddpm", 20)],
    "langflow": [(None, 1), ("ddim", 4), ("langflow", 4)],
    "elf": [(None, 1), ("ddim", 4), ("elf", 4)],
}


class FirstOfTwo(World):
    """The first of two processes. NCCL adds up on the device, behind the work that is there."""

    def __init__(self) -> None:
        super().__init__(0, 2)

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        return lambda: None

    def gather(self, value: Any) -> list[Any]:
        return [value]


OF_TWO = replace(COMPUTE, world=FirstOfTwo())


def check(name: str, traffic: Traffic, waits: int = 1, copies: int = MOST_COPIES) -> None:
    print(f"{name}: {traffic}")
    assert traffic.waits.total() == waits, str(traffic)
    assert traffic.copies.total() <= copies, str(traffic)


@pytest.mark.parametrize(
    ("family", "options", "compute"),
    [
        *(pytest.param("diffuseq", options, COMPUTE, id=name) for name, options in TIMES.items()),
        pytest.param("diffuseq", {}, OF_TWO, id="two processes"),
        *(pytest.param(family, {}, COMPUTE, id=family) for family in ("langflow", "elf")),
    ],
)
def test_pretraining(family: str, options: dict[str, Any], compute: Compute, cuda: FakeCuda) -> None:
    trained = new_pretraining(new_teacher(family, **options), compute)
    for _ in range(2):  # tables and moments are made
        trained.advance(False)
    check(f"pretraining {family}", traffic_of(cuda, lambda: trained.advance(False)))


def check_updates(name: str, trained: Distillation, cuda: FakeCuda) -> None:
    trained.advance(False)  # tables and moments are made
    if trained.estimator_update.terms:
        check(f"{name}, ψ", traffic_of(cuda, lambda: trained._estimator_step(1, False)))
    check(f"{name}, θ", traffic_of(cuda, lambda: trained._generator_step(False)))


@pytest.mark.parametrize(
    ("family", "stage"),
    [
        ("diffuseq", "sid + diffusion_gan"),
        *(
            pytest.param(family, stage, marks=pytest.mark.long)
            for family, stages in {"diffuseq": OF_DIFFUSEQ, **OTHERS}.items()
            for stage in stages
        ),
    ],
)
def test_updates(family: str, stage: str, cuda: FakeCuda) -> None:
    objectives, options = STAGES[stage]
    check_updates(f"{stage} of {family}", new_stage(new_teacher(family), objectives, **options), cuda)


def test_updates_of_two_processes(cuda: FakeCuda) -> None:
    check_updates("sid + diffusion_gan of two", new_stage(new_teacher("diffuseq"), compute=OF_TWO), cuda)


@pytest.mark.parametrize(
    ("family", "sampler", "steps"),
    [(family, *sampler) for family, samplers in SAMPLERS.items() for sampler in samplers],
)
def test_inference(family: str, sampler: str | None, steps: int, cuda: FakeCuda) -> None:
    options = {"diffusion_steps": steps} if sampler == "diffuseq_ddpm" else {}
    teacher = new_teacher(family, **options)
    generator = new_generator(teacher, None if sampler is None else {"use": sampler})
    rows = teacher.space.collate(examples()[:8])
    candidates = 1 + (sampler == "repel")
    call = lambda: generate_batch(generator, rows, COMPUTE, SamplingOptions(steps, candidates))  # noqa: E731
    call()
    check(f"{sampler or 'one step'} of {family}", traffic_of(cuda, call), candidates, MOST_COPIES + steps)


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("sampler", [None, "langflow"])
def test_tokens_named_together(sampler: str | None, temperature: float, cuda: FakeCuda) -> None:
    teacher = new_teacher("langflow", pairs=100, chain={"temperature": temperature})
    generator = new_generator(teacher, None if sampler is None else {"use": sampler})
    rows = teacher.space.collate(examples()[:8])
    call = lambda: generate_batch(generator, rows, COMPUTE, SamplingOptions(2, 1))  # noqa: E731
    call()
    check(f"{sampler or 'a student'} with a chain", traffic_of(cuda, call))


def test_a_checkpoint_is_copied_behind_the_devices_work(cuda: FakeCuda, tmp_path: Path) -> None:
    """The host waits for three numbers alone: SiD's lag, its updates, and how much was not finite."""
    trained = new_stage(new_teacher("diffuseq"))
    trained.advance(True)
    with CheckpointWriter(tmp_path, 1, lambda *_: None) as writer:
        traffic = traffic_of(cuda, lambda: writer.save(trained.checkpoint({})))
        print(f"checkpoint: {traffic}")
        assert traffic.waits.total() == 3, str(traffic)
        state = trained.checkpoint({}).tensors.values()
        assert traffic.copies.total() == sum(tensor.device == CUDA for tensor in state)


def test_a_logged_step_waits_once_more(cuda: FakeCuda) -> None:
    trained = new_pretraining(new_teacher("diffuseq"))
    trained.advance(True)
    assert traffic_of(cuda, lambda: dict(trained.advance(True))).waits.total() == 2


class _Encoder:
    """Stands for transformers' encoder and its tokenizer: one state a token."""

    model_max_length, pad_token_id, cls_token_id, sep_token_id, device = 64, 0, 1, 2, CUDA

    def encode(self, text: str, **_: Any) -> list[int]:
        return [1, *range(3, 3 + len(text.split())), 2]

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        return (input_ids[..., None].expand(-1, -1, 4) + attention_mask[..., None].float(),)


def test_bertscore_embeds_without_waiting(cuda: FakeCuda) -> None:
    from dlmone.plugins.metrics.bertscore import embed

    texts, encoder = [example.source for example in examples()], _Encoder()
    traffic = traffic_of(cuda, lambda: embed(texts, encoder, encoder, batch_size=8))
    assert traffic.waits.total() == 0, str(traffic)


def test_perplexity_reads_a_batchs_losses_in_one_copy(cuda: FakeCuda) -> None:
    from dlmone.plugins.causal.scorer import token_losses

    logits, tokens = (torch.zeros(8, 5, *more, device=CUDA) for more in ((11,), ()))
    traffic = traffic_of(cuda, lambda: token_losses(logits, tokens.long(), [4] * 8))
    assert traffic.waits.total() == 1, str(traffic)
