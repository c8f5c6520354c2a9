"""Objectives that read real data, on Gaussian data with the exact teacher; and their gradient on the toy."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    GENERATOR,
    Average,
    Batch,
    Denoiser,
    DiffusionGenerator,
    Network,
    Objective,
    StepContext,
    UniformTimes,
)
from dlmone.core.model.schedule import NoiseSchedule, discrete_schedule
from dlmone.testing import ToyTeacher, new_step
from dlmone.testing.known import NumberSpace, numbers
from dlmone.testing.oracle import BATCH, ENTRIES, BatchNoise

SCHEDULE = discrete_schedule("sqrt", 2000)
MEAN, STD = 1.5, 0.7

Networks = Mapping[Network, nn.Module]


def step_of(toy: ToyTeacher, objective: Objective) -> StepContext:
    """Return an update of θ with the toy's networks."""
    requests = objective.requests("generator") or ()
    return new_step(toy, "generator", requests, auxiliaries=objective.auxiliaries)


def check_gradient(toy: ToyTeacher, objective: Objective) -> DiffusionGenerator:
    """Check that θ alone gets a gradient, and that it is the loss's slope; return θ with it."""
    step = step_of(toy, objective)
    step.backward(objective.generator_loss(step).loss_B.sum())
    found = [p.grad.clone() for p in step.generator.network.parameters() if p.grad is not None]
    for network, module in step.networks.items():
        if network is not GENERATOR:
            assert all(p.grad is None for p in module.parameters()), network

    def moved(width: float) -> Tensor:
        other = step_of(toy, objective)
        with torch.no_grad():
            for p, slope in zip(other.generator.network.parameters(), found, strict=True):
                p += width * slope
        return objective.generator_loss(other).loss_B.sum()

    difference = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert difference.item() == pytest.approx(sum(float(slope.square().sum()) for slope in found), rel=1e-6)
    return step.generator


def student(network: Denoiser, schedule: NoiseSchedule = SCHEDULE) -> DiffusionGenerator:
    """Return a network of numbers as a student that begins at the last time."""
    return DiffusionGenerator(network, NumberSpace(schedule, ENTRIES), t_init=schedule.max_time)


def gaussian_step(
    objective: Objective, networks: Networks, seed: int, dtype: torch.dtype = torch.float32
) -> StepContext:
    """Return an update of θ in which real data are normal, of `MEAN` and `STD`."""
    theta: Any = networks[GENERATOR]
    space, data = theta.space, numbers(BATCH, ENTRIES)
    x = MEAN + STD * torch.randn(BATCH, ENTRIES, generator=torch.Generator().manual_seed(seed))
    if dtype is torch.float64:
        space.embed = lambda batch: batch.tokens_BL
    real = Batch(data.ids, x.to(dtype), data.target_BL)  # NumberSpace embeds what stands there
    return StepContext(
        role="generator",
        space=space,
        networks=networks,
        requests=objective.requests("generator") or (),
        fake=data,
        noise=BatchNoise(seed),
        times=UniformTimes(space.schedule.min_time, space.schedule.max_time),
        real=lambda: real,
        real_noise=BatchNoise(seed + 10_000),
    )


def distil(
    objective: Objective, networks: Networks, updates: int, lr: float = 2e-2, end: float = 0.02
) -> DiffusionGenerator:
    """Train θ, with its averages, on Gaussian data; the learning rate falls to its share ``end``."""
    theta: Any = networks[GENERATOR]
    optimizer = torch.optim.Adam(theta.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, end, updates)
    for seed in range(updates):
        step = gaussian_step(objective, networks, seed)
        step.backward(objective.generator_loss(step).loss_B.mean())
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
        for average in objective.auxiliaries:
            assert isinstance(average, Average)
            with torch.no_grad():
                for mean, p in zip(networks[average].parameters(), theta.parameters(), strict=True):
                    mean.lerp_(p, 1 - average.rate)
    return theta
