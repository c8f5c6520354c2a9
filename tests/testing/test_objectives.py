"""dlmone.testing.check_objective finds each fault and says so."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from torch import Tensor

from dlmone.core import Needs, Objective, Route, StepContext, Term
from dlmone.core.losses import masked_mean
from dlmone.core.objective import Role
from dlmone.testing import check_objective

Finds = Callable[[str], AbstractContextManager[object]]


class OneRole(Objective):
    """A term of one role made of a function."""

    def __init__(self, loss: Callable[[StepContext], Term], role: Role = "generator", **needs: Any) -> None:
        self.loss, self.role, self.declared = loss, role, Needs(**needs)

    def needs(self, role: Role) -> Needs | None:
        return self.declared if role == self.role else None

    def generator_loss(self, context: StepContext) -> Term:
        return self.loss(context)

    estimator_loss = generator_loss


def decay(context: StepContext) -> Tensor:
    return masked_mean(context.e_fake**2, context.mask)


def spoil(context: StepContext) -> Term:
    next(context.estimator.parameters()).data.add_(1)
    return Term(decay(context), {})


OBJECTIVES: dict[str, Objective] = {
    "needs() is None in both roles": OneRole(lambda c: Term(decay(c), {}), role="nobody"),  # type: ignore[arg-type]
    "reads teacher, which needs('generator') does not declare": OneRole(
        lambda c: Term(decay(c) + masked_mean(c.f_phi.detach(), c.mask), {})
    ),
    "reads estimator, which needs('generator') does not declare": OneRole(
        lambda c: Term(c.fake_logits.mean(1) + masked_mean(c.estimate.x0, c.mask), {}), fake_logits=True
    ),
    "declares real_logits, which generator_loss never reads": OneRole(
        lambda c: Term(decay(c), {}), real_logits=True
    ),
    "declares start, which generator_loss never reads": OneRole(lambda c: Term(decay(c), {}), start=True),
    "generator_loss must return a Term": OneRole(decay),  # type: ignore[arg-type]
    "must have one value a sample, (4,), not ()": OneRole(lambda c: Term(decay(c).mean(), {})),
    "logged['size'] must have one value a sample": OneRole(
        lambda c: Term(decay(c), {"size": c.e_fake.detach()})
    ),
    "logged values must be detached": OneRole(lambda c: Term(decay(c), {"size": decay(c)})),
    "must be finite on finite input": OneRole(lambda c: Term(decay(c) / 0, {})),
    "depends on its batch mates": OneRole(lambda c: Term(decay(c) * decay(c).mean(), {})),
    "depends on what a network predicts at given entries": OneRole(
        lambda c: Term(((c.e_fake - c.f_phi) ** 2).mean((1, 2)), {}), teacher=Route.DIFFERENTIABLE
    ),
    "gradient must end at context.e_fake": OneRole(
        lambda c: Term(decay(c) + masked_mean(c.root, c.mask), {})
    ),
    "no gradient reaches context.e_fake": OneRole(
        lambda c: Term(masked_mean(c.f_phi * c.e_fake.detach(), c.mask), {}),
        teacher=Route.DETACHED,
    ),
    "must leave ψ as it is": OneRole(spoil),
    "no gradient reaches ψ": OneRole(
        lambda c: Term(masked_mean(c.estimate.x0.detach(), c.mask), {}),
        role="estimator",
        estimator=Route.DETACHED,
    ),
}


@pytest.mark.parametrize("sentence", OBJECTIVES)
def test_objectives(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_objective(OBJECTIVES[sentence])
