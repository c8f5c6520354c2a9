"""The step of one objective on the toy."""

from dlmone.core import Objective, StepContext
from dlmone.core.step.request import Role
from dlmone.testing import ToyTeacher, new_step


def step_of(toy: ToyTeacher, role: Role, objective: Objective) -> StepContext:
    requests = objective.requests(role)
    assert requests is not None
    return new_step(toy, role, requests, auxiliaries=objective.auxiliaries)
