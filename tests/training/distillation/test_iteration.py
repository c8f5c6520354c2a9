"""dlmone/training/distillation.py: what an iteration moves, drops and draws, and how a stage starts."""

from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import TEACHER, DlmoneError, InputError, Objective, StepContext, Term
from dlmone.core.step import noise
from dlmone.core.step.noise import Key
from dlmone.core.step.request import Role
from dlmone.plugins.diff_instruct.objective import DMD2
from dlmone.plugins.diff_instruct.options import DMD2Options
from dlmone.plugins.progressive.objective import Progressive
from dlmone.plugins.progressive.options import ProgressiveOptions
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.training.batches.data_order import DataOrder
from dlmone.training.updates.optimizer import Optimizer

from .small import distillation, objectives, psi, same, stage, weights


def test_an_iteration_moves_both_students_and_never_the_teacher() -> None:
    teacher = toy_teacher()
    trained = distillation(teacher=teacher)
    before = weights(teacher), weights(trained.generator.network), weights(psi(trained))
    logged = trained.advance(norms=True)
    assert same(before[0], weights(teacher))
    network = {
        name.removeprefix("network."): value for name, value in before[0].items() if "network." in name
    }
    assert same(network, weights(trained.networks[TEACHER]))
    assert not same(before[1], weights(trained.generator.network))
    assert not same(before[2], weights(psi(trained)))
    assert {"generator/score", "generator/adversarial", "estimator/score", "estimator/adversarial"} <= set(
        logged
    )
    assert {"gradient/score", "gradient/adversarial"} <= set(logged)
    assert {"score/teacher_estimator_gap", "adversarial/d_real", "adversarial/d_fake"} <= set(logged)
    assert logged["gradient/score"] > 0


def test_stage_2_starts_from_the_student_with_a_fresh_estimator() -> None:
    teacher = toy_teacher()
    first = distillation(teacher=teacher)
    first.advance(norms=False)
    second = distillation(start=first.average, teacher=teacher)
    assert same(weights(second.generator.network), first.weights("ema"))
    assert same(second.weights("ema"), first.weights("ema"))
    assert same(weights(psi(second).network), weights(teacher.network))
    assert second.generator_optimizer.state() == {}


def test_warm_up_trains_the_estimator_alone() -> None:
    trained = distillation(stage(estimator_warmup=1, estimator_steps=2))
    before = weights(trained.generator.network), weights(psi(trained))
    trained.advance(norms=False)
    assert same(before[0], weights(trained.generator.network))
    assert not same(before[1], weights(psi(trained)))
    trained.advance(norms=False)
    assert not same(before[0], weights(trained.generator.network))


def test_the_same_steps_give_the_same_weights_and_microbatches_nearly() -> None:
    whole, again = distillation(), distillation()
    parts = distillation()
    parts.compute = Compute(torch.device("cpu"), bfloat16=False, world=World(), microbatch=3)
    for trained in (whole, again, parts):
        for _ in range(3):
            trained.advance(norms=False)
    assert same(weights(whole.generator.network), weights(again.generator.network))
    for name, value in weights(whole.generator.network).items():
        torch.testing.assert_close(value, parts.generator.network.state_dict()[name], rtol=0, atol=1e-4)


def test_the_schedules_of_theta_and_psi_count_their_own_updates() -> None:
    """Two iterations of ψ alone, two updates of ψ each: θ still rises from nought and falls to it."""
    ramp = {"lr": 1.0e-3, "warmup": 2, "schedule": "linear"}
    config = stage(steps=6, estimator_warmup=2, estimator_steps=2, generator=ramp, estimator=ramp)
    trained = distillation(config)
    rates: dict[str, list[float]] = {"theta": [], "psi": []}

    def watch(name: str, optimizer: Optimizer) -> None:
        step = optimizer.step
        optimizer.step = lambda lr: rates[name].append(lr) or step(lr)  # type: ignore[method-assign, func-returns-value]

    watch("theta", trained.generator_optimizer)
    watch("psi", trained.beside.optimizers["estimator"])
    for _ in range(6):
        trained.advance(norms=False)
    assert rates["theta"] == pytest.approx([0.5e-3, 0.75e-3, 0.5e-3, 0.25e-3])
    assert rates["psi"] == pytest.approx([0.5e-3, *(1e-3 * (1 - update / 12) for update in range(1, 12))])


def test_the_ramp_of_the_ema_counts_updates_of_theta() -> None:
    """The first updates are averaged alike, however long ψ was warmed up before."""
    ema = {"half_life": 1e9, "ramp": 0.05}
    for warmup in (0, 3):
        trained = distillation(stage(steps=8, estimator_warmup=warmup, ema=ema))
        for _ in range(warmup):
            trained.advance(norms=False)
        for update in (1, 2):
            before = weights(trained.average)
            trained.advance(norms=False)
            decay = 0.5 ** (1 / (0.05 * update))  # a half-life of 5 % of the samples θ has seen
            for name, value in weights(trained.average).items():
                now = trained.generator.network.state_dict()[name]
                torch.testing.assert_close(value, decay * before[name] + (1 - decay) * now)


class Spoilt(SiD):
    """SiD with a NaN for one example, which would spoil every gradient of its batch."""

    def generator_loss(self, context: StepContext) -> Term:
        term = super().generator_loss(context)
        spoilt_B = torch.tensor([torch.nan if name == "rain" else 1.0 for name in context.fake.ids])
        return Term(term.loss_B * spoilt_B, term.logged)


def test_losses_that_are_not_finite_are_dropped_counted_and_in_the_end_fatal() -> None:
    table = stage()
    trained = distillation(table, {"score": Spoilt(SiDOptions()), "adversarial": objectives()["adversarial"]})
    before = weights(trained.generator.network)
    logged = trained.advance(norms=False)
    assert logged["non_finite"] == 1
    assert all(value.isfinite().all() for value in weights(trained.generator.network).values())
    assert not same(before, weights(trained.generator.network))
    trained.advance(norms=False)
    trained.advance(norms=False)
    with pytest.raises(DlmoneError, match="4 losses or gradients were not finite"):
        trained.advance(norms=False)


def test_real_pairs_that_nobody_reads_are_never_drawn() -> None:
    def drawn(terms: dict[str, Objective], slots: dict[str, object]) -> list[tuple[str, str]]:
        trained, read = distillation(stage(objectives=slots), terms), []
        for key, order in trained._orders.items():
            trained._orders[key] = Noted(order, key, read)  # type: ignore[assignment]
        trained.advance(norms=False)
        return read

    class Noted:
        def __init__(self, order: DataOrder, key: tuple[str, str], read: list[tuple[str, str]]) -> None:
            self.order, self.key, self.read = order, key, read

        def __getitem__(self, step: int) -> list[int]:
            self.read.append(self.key)
            return self.order[step]

    slots = {"score": {"use": "sid"}, "adversarial": {"use": "diffusion_gan"}}
    alone = {"score": slots["score"]}
    assert drawn({"score": SiD(SiDOptions())}, alone) == [("estimator", "fake"), ("generator", "fake")]
    assert sorted(drawn(objectives(), slots)).count(("estimator", "real")) == 1


def test_shared_noise_and_shared_draws() -> None:
    def contexts(table: Stage) -> tuple[StepContext, StepContext]:
        trained = distillation(table)
        estimator = trained._context(trained.estimator_update, "estimator", 0, range(4))
        draws: Role = "estimator" if table.shared_draw else "generator"
        generator = trained._context(trained.generator_update, draws, 0, range(4))
        return estimator, generator

    def epsilon(noise) -> Tensor:
        return noise.normal("epsilon", (2,))

    estimator, generator = contexts(stage())
    assert not torch.equal(epsilon(estimator.noise), epsilon(estimator.real_noise))
    assert not torch.equal(epsilon(estimator.noise), epsilon(generator.noise))
    estimator, generator = contexts(stage(shared_noise=True, shared_draw=True))
    assert torch.equal(epsilon(estimator.noise), epsilon(estimator.real_noise))
    assert torch.equal(epsilon(estimator.noise), epsilon(generator.noise))
    assert estimator.fake.ids == generator.fake.ids


def test_times_outside_the_trained_range_and_foreign_checkpoints_are_refused() -> None:
    with pytest.raises(InputError, match=r"stages.stage-1.t_init: .* goes from 0 to 1999"):
        distillation(stage(t_init=2500))
    with pytest.raises(InputError, match=r"t_min .* must be below t_max"):
        distillation(stage(t_min=1976))
    saved = distillation().checkpoint({})
    saved.tensors["generator/out.weight"] = torch.zeros(3, 3)
    with pytest.raises(InputError, match=r"another shape .*out.weight"):
        distillation().load(saved)


@pytest.mark.parametrize("shared", [False, True], ids=["", "shared noise"])
def test_each_draw_is_made_once_an_update(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    """Objectives that read one draw share it: θ's z is that of a regression's target too."""
    slots = {
        **stage().model_dump()["objectives"],
        "pairs": {"use": "regression"},
        "round": {"use": "progressive"},
        "pull": {"use": "dmd2"},
    }
    terms = {
        **objectives(),
        "pairs": Regression(RegressionOptions(steps=3)),
        "round": Progressive(ProgressiveOptions(steps=2)),
        "pull": DMD2(DMD2Options()),
    }
    trained = distillation(stage(objectives=slots, shared_noise=shared), terms)
    made: list[Key] = []
    begin = noise._Stream.begin

    def noted(self: Any, key: Key) -> None:
        made.append(key)
        begin(self, key)

    monkeypatch.setattr(noise._Stream, "begin", noted)
    trained.advance(norms=False)
    names = {key[-1] for key in made}
    assert {"z", "t", "epsilon", "grid"} <= names
    assert len(made) == len({*made}), sorted(key for key in {*made} if made.count(key) > 1)
