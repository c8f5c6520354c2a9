"""A small stage of SiD and Diffusion-GAN, and what is read of its networks."""

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from dlmone.core import ESTIMATOR, Denoiser, DiffusionScoreEstimator, Objective, Teacher
from dlmone.plugins.diffusion_gan.objective import DiffusionGAN
from dlmone.plugins.diffusion_gan.options import DiffusionGANOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation

COMPUTE = Compute(torch.device("cpu"), bfloat16=False, world=World(), non_finite_limit=3)


def stage(**changes: object) -> Stage:
    table = {
        "steps": 4,
        "batch": 4,
        "t_init": 1490,
        "t_max": 1976,
        "generator": {"lr": 1e-3},
        "estimator": {"lr": 1e-3},
        "objectives": {
            "score": {"use": "sid", "generator_weight": 0.5, "estimator_weight": 0.5},
            "adversarial": {"use": "diffusion_gan", "generator_weight": 0.5, "estimator_weight": 0.5},
        },
    }
    return Stage.model_validate(table | changes)


def objectives() -> dict[str, Objective]:
    return {"score": SiD(SiDOptions()), "adversarial": DiffusionGAN(DiffusionGANOptions())}


def distillation(
    table: Stage | None = None,
    terms: Mapping[str, Objective] | None = None,
    start: Denoiser | None = None,
    teacher: Teacher | None = None,
) -> Distillation:
    teacher = teacher or toy_teacher()
    return Distillation(
        "stage-1",
        table or stage(),
        teacher,
        terms or objectives(),
        TokenizedExamples(teacher.space, EXAMPLES),
        COMPUTE,
        0,
        start,
    )


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def psi(trained: Distillation) -> DiffusionScoreEstimator:
    return cast(DiffusionScoreEstimator, trained.beside.modules[ESTIMATOR])


def reference(trained: Distillation) -> DiffusionScoreEstimator:
    assert trained.beside.reference is not None
    return cast(DiffusionScoreEstimator, trained.beside.reference)
