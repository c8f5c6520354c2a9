"""Small teachers, pretraining and stages on a device, for counting what a step does."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from dlmone.core import Example, Generator, SampledGenerator, Teacher
from dlmone.registry import Registry
from dlmone.registry.schema import Pretrain, SamplerSlot, Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining

from .fake_cuda import CUDA

REGISTRY = Registry.discover()
#: Fake tensors are not seen by autocast; its casts pass nothing between host and device.
COMPUTE = Compute(CUDA, bfloat16=False, world=World())

_SIZES = {"width": 32, "layers": 1, "heads": 2, "tokenizer": "words"}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
#: Options of small teachers, by plugin.
TEACHERS: Mapping[str, Mapping[str, Any]] = {
    "diffuseq": _SIZES | {"seq_len": 24, "hidden_dim": 16, "hidden_t_dim": 16, "length_groups": 4},
    "langflow": _SIZES | {"length": 24, "condition": 16, "conditional": True, "condition_dropout": 0.1},
    "elf": _SIZES | {"length": 24, "source_length": 10, "bottleneck": 8, "encoder": "random", "t5": _T5},
}


def examples() -> list[Example]:
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(64)]
    return [Example(str(i), *pair) for i, pair in enumerate(zip(texts[::2], texts[1::2], strict=True))]


def new_teacher(name: str = "diffuseq", **options: Any) -> Teacher:
    given = REGISTRY.options("teachers", name, {**TEACHERS[name], **options}, "teacher")
    teacher: Teacher = REGISTRY.load("teachers", name).build(given, examples())
    return teacher.to(CUDA)


def new_pretraining(teacher: Teacher, compute: Compute = COMPUTE) -> Pretraining:
    config = Pretrain.model_validate({"steps": 100, "batch": 8, "optimizer": {"lr": 1e-4}})
    return Pretraining(teacher, config, examples(), compute, seed=0)


#: Score distillation with a discriminator, as in the paper; μ adapts to ψ's lag.
SID_WITH_GAN = {
    "score": {"use": "sid", "generator_weight": 0.5, "estimator_weight": 0.5, "mu_lag": 0.5},
    "adversarial": {"use": "diffusion_gan", "generator_weight": 0.5, "estimator_weight": 0.5},
}


def new_stage(
    teacher: Teacher, objectives: Mapping[str, Any] = SID_WITH_GAN, compute: Compute = COMPUTE, **options: Any
) -> Distillation:
    rate = {"lr": 1e-5}
    table = {"steps": 1000, "batch": 8, "t_init": {"quantile": 0.75}, "t_max": {"quantile": 0.99}}
    table |= {"generator": rate, "estimator": rate, "objectives": objectives}
    stage = Stage.model_validate(table | options)
    made = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
    tokenized = TokenizedExamples(teacher.space, examples())
    return Distillation("stage-1", stage, teacher, made, tokenized, compute, seed=0)


def new_generator(teacher: Teacher, sampler: Mapping[str, Any] | None) -> Generator:
    """Return the teacher under a sampler, or its one-step student without one."""
    teacher.eval().requires_grad_(False)
    if sampler is None:
        return teacher.new_generator(teacher.space.schedule.time_of_quantile(0.75)).to(CUDA)
    made = REGISTRY.create("samplers", SamplerSlot.model_validate(sampler))
    return SampledGenerator(teacher.network, teacher.space, made)
