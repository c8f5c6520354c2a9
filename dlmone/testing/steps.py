"""Build one update of the toy, to call an objective as a run does."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import nn

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    START,
    TEACHER,
    Auxiliary,
    Average,
    Denoiser,
    DiffusionGenerator,
    DiffusionScoreEstimator,
    Example,
    Network,
    Noise,
    QuantileTimes,
    Request,
    StepContext,
)
from dlmone.core.step.request import Role, asks_second_time

from .toy import EXAMPLES, ToyTeacher

Module = TypeVar("Module", bound=nn.Module)


def new_step(
    teacher: ToyTeacher,
    role: Role,
    requests: Iterable[Request] = (),
    *,
    auxiliaries: Sequence[Auxiliary | Average] = (),
    examples: Sequence[Example] = EXAMPLES,
    seed: int = 0,
    shared_noise: bool = False,
    wrap: Callable[[Denoiser], Denoiser] = lambda network: network,
    kind: type[StepContext] = StepContext,
    t_init: float | None = None,
    calls: tuple[int, int] = (1, 1),
) -> StepContext:
    """Return the step of a seed. Equal seeds give equal networks and, example by example, equal draws.

    The networks differ from one another, as they do after some training; what the role freezes is frozen.

    Args:
        teacher: φ and the space.
        role: the role updated.
        requests: what the objective(s) request in this role.
        auxiliaries: the networks that they bring.
        examples: the fake batch; the real one is the same in reverse order.
        seed: of the random numbers, and of how the other networks differ from φ.
        shared_noise: real and fake batch share their ε.
        wrap: put around each of the denoisers.
        kind: the class of the step.
        t_init: where the student begins; three quarters up the trained range if None.
        calls: (k, K): the losses use the output of call k of K.
    """
    schedule = teacher.space.schedule
    t_init = schedule.time_of_quantile(0.75) if t_init is None else t_init

    requests = tuple(requests)
    mapped = asks_second_time(requests)

    def another(offset: int, student: bool = False) -> Denoiser:
        network = copy.deepcopy(teacher.network)
        if student and mapped:
            network.add_second_time()
        return wrap(perturbed(network, seed + offset))

    networks: dict[Network, nn.Module] = {
        TEACHER: wrap(copy.deepcopy(teacher.network)),
        ESTIMATOR: DiffusionScoreEstimator(another(1)),
        GENERATOR: DiffusionGenerator(another(2, student=True), teacher.space, t_init),
        START: DiffusionGenerator(another(3, student=True), teacher.space, t_init),
    }
    for place, auxiliary in enumerate(auxiliaries, start=4):
        if isinstance(auxiliary, Auxiliary):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + place)
                module = perturbed(auxiliary.new(teacher), seed + place)
            networks[auxiliary] = wrap(module) if isinstance(module, Denoiser) else module
        else:
            networks[auxiliary] = perturbed(copy.deepcopy(networks[auxiliary.of]), seed + place)
    for network, module in networks.items():
        trained = network is ESTIMATOR or isinstance(network, Auxiliary)
        module.requires_grad_(network is GENERATOR or (trained and role == "estimator"))
    keys = [(seed, example.id) for example in examples]
    real_keys = keys if shared_noise else [(*key, "real") for key in keys]
    return kind(
        role=role,
        space=teacher.space,
        networks=networks,
        requests=requests,
        fake=teacher.space.collate(examples),
        noise=Noise(keys),
        times=QuantileTimes(0.1, 0.9),
        real=lambda: teacher.space.collate(examples[::-1]),
        real_noise=Noise(real_keys),
        calls=calls,
    )


def perturbed(module: Module, seed: int, size: float = 0.1) -> Module:
    """Add keyed normal draws to a module's parameters, in place."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=draws, dtype=parameter.dtype))
    return module
