"""One update of the toy, for calling an objective as the engine does."""

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import nn

from dlmone.core import (
    Denoiser,
    DiffusionGenerator,
    DiffusionScoreEstimator,
    Example,
    Needs,
    Noise,
    StepContext,
)
from dlmone.core.objective import Role

from .toy import EXAMPLES, ToyTeacher

Network = TypeVar("Network", bound=nn.Module)


def new_step(
    teacher: ToyTeacher,
    role: Role,
    needs: Needs,
    *,
    examples: Sequence[Example] = EXAMPLES,
    seed: int = 0,
    shared_noise: bool = False,
    wrap: Callable[[Denoiser], Denoiser] = lambda network: network,
    kind: type[StepContext] = StepContext,
    t_init: float | None = None,
    calls: tuple[int, int] = (1, 1),
) -> StepContext:
    """Return the step of a seed. Equal seeds give equal networks and, example by example, equal draws.

    φ, ψ, θ and the θ before differ from one another, as they do after some training; what the role
    freezes is frozen.

    Args:
        teacher: φ and the space.
        role: whose update it is.
        needs: what the objective(s) need in this role.
        examples: the fake batch; the real one is the same in reverse order.
        seed: of the draws, and of how the others differ from φ.
        shared_noise: real and fake batch share their ε.
        wrap: put around each of the networks.
        kind: the class of the step.
        t_init: where the student begins; three quarters up the trained range if None.
        calls: which output of how many calls the losses see.
    """
    schedule, width = teacher.space.schedule, teacher.feature_width
    phi, psi, theta, before = (copy.deepcopy(teacher.network) for _ in range(4))
    estimator = DiffusionScoreEstimator(wrap(perturbed(psi, seed + 1)), width)
    t_init = schedule.time_of_quantile(0.75) if t_init is None else t_init
    generator = DiffusionGenerator(wrap(perturbed(theta, seed + 2)), teacher.space, t_init)
    start = DiffusionGenerator(wrap(perturbed(before, seed + 3)), teacher.space, t_init)
    keys = [(seed, example.id) for example in examples]
    real_keys = keys if shared_noise else [(*key, "real") for key in keys]
    return kind(
        role=role,
        space=teacher.space,
        teacher=wrap(phi).requires_grad_(False),
        estimator=estimator.requires_grad_(role == "estimator"),
        generator=generator.requires_grad_(True),
        needs=needs,
        fake=teacher.space.collate(examples),
        noise=Noise(keys),
        t_range=(schedule.time_of_quantile(0.1), schedule.time_of_quantile(0.9)),
        real=lambda: teacher.space.collate(examples[::-1]),
        real_noise=Noise(real_keys),
        calls=calls,
        start=start.requires_grad_(False) if needs.start else None,
    )


def perturbed(network: Network, seed: int, size: float = 0.1) -> Network:
    """Add keyed normal draws to a network's parameters, in place."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=draws, dtype=parameter.dtype))
    return network
