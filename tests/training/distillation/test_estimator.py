"""dlmone/training/distillation.py: ψ in the two updates, its average and its lag, and a stage without it."""

from collections.abc import Sequence

import pytest
import torch

from dlmone.core import ESTIMATOR, TEACHER, Noised, Objective, Request, StepContext, Term
from dlmone.core.step.request import Role
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.training.distillation import Distillation

from .small import distillation, objectives, psi, reference, same, stage, weights


class NeedsNothing(Objective):
    """A loss on the generator's output alone."""

    def requests(self, role: Role) -> Sequence[Request] | None:
        return () if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        return Term((step.e_fake**2).mean((1, 2)), {})


class DropoutSeen(NeedsNothing):
    """Notes in which of the two updates a network has its dropout."""

    def __init__(self) -> None:
        self.seen: dict[Role, tuple[bool, bool]] = {}

    def requests(self, role: Role) -> Sequence[Request]:
        return (Request(ESTIMATOR, Noised()),)

    def generator_loss(self, step: StepContext) -> Term:
        self.seen["generator"] = step.generator.training, step.networks[ESTIMATOR].training
        return super().generator_loss(step)

    def estimator_loss(self, step: StepContext) -> Term:
        self.seen["estimator"] = step.generator.training, step.networks[ESTIMATOR].training
        return Term((step[Request(ESTIMATOR, Noised())].x0 ** 2).mean((1, 2)), {})


@pytest.mark.parametrize("theta", [True, False])
@pytest.mark.parametrize("psi", [True, False])
def test_each_network_has_dropout_in_its_own_update_if_at_all(theta: bool, psi: bool) -> None:
    seen = DropoutSeen()
    config = stage(objectives={"seen": {"use": "seen"}}, generator_dropout=theta, estimator_dropout=psi)
    distillation(config, {"seen": seen}).advance(norms=False)
    assert seen.seen == {"generator": (theta, False), "estimator": (False, psi)}
    assert (stage().generator_dropout, stage().estimator_dropout) == (True, True)


def test_the_generator_reads_the_average_of_the_estimator() -> None:
    table = stage(estimator_average=0.5, estimator_warmup=1)
    trained = distillation(table)
    start = weights(psi(trained))
    trained.advance(norms=False)
    once = weights(psi(trained))
    # After the first of all updates, the plain mean of start and update.
    for name, value in weights(reference(trained)).items():
        torch.testing.assert_close(value, (start[name] + once[name]) / 2)
    read = trained._context(trained.generator_update, "generator", 0, [0]).networks
    learning = trained._context(trained.estimator_update, "estimator", 0, [0]).networks
    assert read[ESTIMATOR] is reference(trained)
    assert learning[ESTIMATOR] is psi(trained)
    before = weights(reference(trained))
    trained._generator_step(norms=False)
    assert same(before, weights(reference(trained)))


def test_without_an_average_the_generator_reads_the_estimator_itself() -> None:
    trained = distillation()
    assert trained.beside.of("generator")[ESTIMATOR] is psi(trained)
    assert not [name for name in trained.checkpoint({}).tensors if name.startswith("reference")]


def test_mu_falls_with_the_measured_lag_and_its_memory_is_checkpointed() -> None:
    def trained() -> Distillation:
        return distillation(terms=objectives() | {"score": SiD(SiDOptions(mu=1.0, mu_lag=0.5))})

    first = trained()
    logged = [first.advance(norms=False) for _ in range(3)]
    lags = [max(one["score/estimator_lag"], 0) for one in logged]
    for seen, one in enumerate(logged, start=1):
        assert one["score/mu"] == pytest.approx(1 - 0.5 * sum(lags[:seen]) / seen)
    second = trained()
    second.load(first.checkpoint({}))
    assert second.advance(norms=False) == first.advance(norms=False)
    assert second.objectives["score"].state() == first.objectives["score"].state()


def test_an_objective_that_needs_no_estimator_never_trains_one() -> None:
    table = stage(objectives={"size": {"use": "size"}})
    trained = distillation(table, {"size": NeedsNothing()})
    assert not {TEACHER, ESTIMATOR} & {*trained.networks, *trained.beside.modules}, "nor is one built"
    assert trained.advance(norms=True)["gradient/size"] > 0


def test_a_stage_of_regression_alone_trains_no_psi_and_follows_its_rate() -> None:
    terms = {"regression": Regression(RegressionOptions(steps=2))}
    table = stage(
        objectives={"regression": {"use": "regression"}}, generator={"lr": 1e-3, "schedule": "linear"}
    )
    trained = distillation(table, terms)
    losses, rates = [], []
    for _ in range(4):
        losses.append(trained.advance(norms=False)["generator/regression"])
        rates.append(trained.generator_optimizer.optimizers[0].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert ESTIMATOR not in trained.beside.modules
    assert losses[-1] < losses[0]
