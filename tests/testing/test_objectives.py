"""dlmone.testing.check_objective finds each fault and says so."""

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    START,
    TEACHER,
    Denoiser,
    GeneratorInput,
    Gradient,
    Noised,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.testing import check_objective

from .finds import Finds


class OneRole(Objective):
    """A term of one role made of a function."""

    def __init__(
        self, loss: Callable[[StepContext], Term], *requests: Request, role: Role = "generator"
    ) -> None:
        self.loss, self.role, self.listed = loss, role, requests

    def requests(self, role: Role) -> Sequence[Request] | None:
        return self.listed if role == self.role else None

    def generator_loss(self, step: StepContext) -> Term:
        return self.loss(step)

    estimator_loss = generator_loss


def decay(step: StepContext) -> Tensor:
    return masked_mean(step.e_fake**2, step.mask)


def spoil(step: StepContext) -> Term:
    next(step.networks[ESTIMATOR].parameters()).data.add_(1)
    return Term(decay(step) + masked_mean(step[PSI].x0, step.mask), {})


def calling(step: StepContext) -> Term:
    """Evaluate φ at what θ made, past the step."""
    phi, e = step.module(TEACHER), step.e_fake
    assert isinstance(phi, Denoiser)
    return Term(masked_mean((e - phi.denoise(e, step.t_B, step.fake).x0.detach()) ** 2, step.mask), {})


class Forgetful(OneRole):
    """Its state is not what it was given back."""

    def __init__(self) -> None:
        super().__init__(lambda c: Term(decay(c), {}))
        self.loads = 0

    def state(self) -> Mapping[str, float | Tensor]:
        return {"loads": torch.tensor(self.loads)}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:
        self.loads += 1


class Wordy(OneRole):
    def state(self) -> Mapping[str, float | Tensor]:
        return {"name": "a text"}  # type: ignore[dict-item]


PHI, PSI = Request(TEACHER, Noised()), Request(ESTIMATOR, Noised())
THROUGH_PHI = Request(TEACHER, Noised(), Gradient.INPUT)
REAL, FIRST = Request(ESTIMATOR, Noised("real")), Request(START, GeneratorInput())
OBJECTIVES: dict[str, Objective] = {
    "requests() is None in both roles": OneRole(lambda c: Term(decay(c), {}), role="nobody"),  # type: ignore[arg-type]
    "a sequence of Request, or None, not a tuple that begins with 1": OneRole(
        lambda c: Term(decay(c), {}), 1
    ),  # type: ignore[arg-type]
    "generator_loss: an objective reads Request(network=teacher": OneRole(
        lambda c: Term(decay(c) + masked_mean(c[PHI].x0, c.mask), {})
    ),
    "which the requests of no objective cover": OneRole(
        lambda c: Term(decay(c) + masked_mean(c[THROUGH_PHI].x0, c.mask), {}), PHI
    ),
    "lists estimator at Noised(of='real', times=None), which generator_loss never reads": OneRole(
        lambda c: Term(decay(c), {}), REAL
    ),
    "lists start at GeneratorInput(), which generator_loss never reads": OneRole(
        lambda c: Term(decay(c), {}), FIRST
    ),
    "generator_loss must return a Term": OneRole(decay),  # type: ignore[arg-type]
    "must have one value a sample, (4,), not ()": OneRole(lambda c: Term(decay(c).mean(), {})),
    "logged['size'] must have one value a sample": OneRole(
        lambda c: Term(decay(c), {"size": c.e_fake.detach()})
    ),
    "logged values must be detached": OneRole(lambda c: Term(decay(c), {"size": decay(c)})),
    "must be finite on finite input": OneRole(lambda c: Term(decay(c) / 0, {})),
    "depends on its batch mates": OneRole(lambda c: Term(decay(c) * decay(c).mean(), {})),
    "depends on what a network predicts at given entries": OneRole(
        lambda c: Term(((c.e_fake - c[THROUGH_PHI].x0) ** 2).mean((1, 2)), {}), THROUGH_PHI
    ),
    "gradient reaches the parameters of generator, past the outputs that the step gives": OneRole(
        lambda c: Term(decay(c) + masked_mean(c.generator.one_step(c.fake, c.z), c.mask), {})
    ),
    "generator_loss calls teacher itself: request the evaluation": OneRole(calling),
    "no gradient reaches what θ computed": OneRole(
        lambda c: Term(masked_mean(c[PHI].x0 * c.e_fake.detach(), c.mask), {}), PHI
    ),
    "must leave the network estimator as it is": OneRole(spoil, PSI),
    "no gradient reaches estimator": OneRole(
        lambda c: Term(masked_mean(c[PSI].x0.detach(), c.mask), {}), PSI, role="estimator"
    ),
    "load_state(state()) must leave state() as it was": Forgetful(),
    "state()['name'] must be a number or a tensor, not str": Wordy(lambda c: Term(decay(c), {})),
}


@pytest.mark.parametrize("sentence", OBJECTIVES)
def test_objectives(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_objective(OBJECTIVES[sentence])
