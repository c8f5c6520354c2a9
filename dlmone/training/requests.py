"""Check that a teacher's networks give what objectives request, before any training."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Mapping
from typing import get_args

import torch

from dlmone.core import Example, InputError, Objective, Request, Teacher
from dlmone.core.step.request import Role, asks_second_time, merged

from .updates.update import requests_of

#: Layers that are counted at most.
MANY = 1_000


def check_requests(
    teacher: Teacher, objectives: Mapping[str, Mapping[str, Objective]], example: Example
) -> None:
    """Check that the teacher's networks take what objectives request, before any training.

    Args:
        teacher: the teacher, trained or not.
        objectives: those of each stage, by name.
        example: any example.

    Raises:
        InputError: guidance is requested of a model that was not trained without its condition, a second time
            of a student that takes none, or outputs that the network does not give; the message names the
            term's key. The network is φ's: a student of fewer layers is not looked at.
    """
    for name, terms in objectives.items():
        for term, objective in terms.items():
            where = f"stages.{name}.objectives.{term}"
            listed = [one for role in get_args(Role) for one in requests_of(objective, role) or ()]
            try:
                if asks_second_time(listed):
                    teacher.new_generator(teacher.space.schedule.max_time).network.add_second_time()
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            if lacking := _lacking(teacher, merged(listed).values(), example):
                raise InputError(f"{where}: {type(teacher.network).__name__} gives no {lacking}")
            if all(request.guidance == 1 for request in merged(listed).values()):
                continue
            try:
                teacher.space.null_condition(teacher.space.collate([example]))
            except InputError as error:
                raise InputError(f"{where}: no guidance, for {error}") from None


def _lacking(teacher: Teacher, requests: Iterable[Request], example: Example) -> str | None:
    """Return what is requested of networks whose `denoise` has no such keyword, or no such layer."""
    requests, parameters = list(requests), inspect.signature(teacher.network.denoise).parameters
    layers = sorted({layer for request in requests for layer in request.features} - {-1})
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        if any(request.tokens for request in requests) and "tokens" not in parameters:
            return "token logits"
        if layers and "layers" not in parameters:
            return "features of chosen layers"
    return _absent_layer(teacher, layers, example) if layers else None


@torch.no_grad()
def _absent_layer(teacher: Teacher, layers: Iterable[int], example: Example) -> str | None:
    """Return which of these layers the network lacks, and which it has: only a pass says so."""
    space, network = teacher.space, teacher.network
    batch = space.encode(space.collate([example]).to(next(network.parameters()).device))
    e = space.embed(batch)
    t_B = space.schedule.tensor(space.schedule.max_time, 1, e.device)

    def gives(*wanted: int) -> bool:
        with torch.random.fork_rng(devices=[]):
            return {*network.denoise(e, t_B, batch, layers=wanted).layers} >= {*wanted}

    def has(layer: int) -> bool:
        try:
            return gives(layer)
        except (IndexError, KeyError):
            return False

    gives()  # so that these errors of a network's own are not taken for a layer that it lacks
    absent = [layer for layer in layers if not has(layer)]
    if not absent:
        return None
    there = len([*itertools.takewhile(has, range(MANY))])
    known = f"layers 0 to {there - 1}, and -1 is the last" if there else "the last alone, -1"
    return f"features of layer {absent[0]}: it has {known}"
