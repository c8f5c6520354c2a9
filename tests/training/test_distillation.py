"""The alternating updates: what moves, what is logged, what is dropped, how a stage starts."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    START,
    TEACHER,
    Denoiser,
    DiffusionGenerator,
    DiffusionScoreEstimator,
    DlmoneError,
    Gradient,
    InputError,
    Noised,
    Objective,
    Request,
    StepContext,
    Teacher,
    Term,
)
from dlmone.core.step.losses import adversarial_loss
from dlmone.core.step.noise import Draw, Key
from dlmone.core.step.request import Role
from dlmone.plugins.diff_instruct.objective import DMD2, DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions, DMD2Options
from dlmone.plugins.diffusion_gan.objective import DiffusionGAN
from dlmone.plugins.diffusion_gan.options import DiffusionGANOptions
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
from dlmone.testing.toy import EXAMPLES
from dlmone.training.data_order import DataOrder
from dlmone.training.distillation import Distillation
from dlmone.training.optimizer import Optimizer
from dlmone.training.tokenized import TokenizedExamples

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


def test_a_weight_of_zero_leaves_a_term_out_and_a_late_one_waits() -> None:
    table = stage()
    slots = {name: slot.model_dump() for name, slot in table.objectives.items()}
    without = slots | {"adversarial": slots["adversarial"] | {"generator_weight": 0, "estimator_weight": 0}}
    logged = distillation(stage(objectives=without)).advance(norms=True)
    assert "generator/adversarial" not in logged
    assert "adversarial/d_real" not in logged
    late = slots | {"adversarial": slots["adversarial"] | {"generator_start": 1}}
    trained = distillation(stage(objectives=late))
    assert "generator/adversarial" not in trained.advance(norms=False)
    assert "generator/adversarial" in trained.advance(norms=False)


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


def psi(trained: Distillation) -> DiffusionScoreEstimator:
    return cast(DiffusionScoreEstimator, trained.beside.modules[ESTIMATOR])


def reference(trained: Distillation) -> DiffusionScoreEstimator:
    assert trained.beside.reference is not None
    return cast(DiffusionScoreEstimator, trained.beside.reference)


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


def test_two_terms_that_log_the_same_names_keep_their_values_apart() -> None:
    """Side by side each logs what it logs alone (from the same ψ: the halves of its loss are one whole)."""

    def logged(*terms: str) -> Mapping[str, float]:
        built: dict[str, Objective] = {
            "score": SiD(SiDOptions(mu=1.0, mu_lag=0.5)),
            "kl": DiffInstruct(DiffInstructOptions(weighting="one")),
        }
        slots = {"score": {"use": "sid"}, "kl": {"use": "diff_instruct"}}
        table = {key: slots[key] | {"estimator_weight": 1 / len(terms)} for key in terms}
        return distillation(stage(objectives=table), {key: built[key] for key in terms}).advance(norms=False)

    score, kl = logged("score"), logged("kl")
    assert {"score/teacher_estimator_gap", "score/estimator_lag", "score/mu"} <= set(score)
    assert score["score/gap_weighted"] != pytest.approx(kl["kl/gap_weighted"], rel=0.1)
    assert logged("score", "kl") == pytest.approx({**score, **kl})


def test_an_objective_that_needs_no_estimator_never_trains_one() -> None:
    table = stage(objectives={"size": {"use": "size"}})
    trained = distillation(table, {"size": NeedsNothing()})
    assert not {TEACHER, ESTIMATOR} & {*trained.networks, *trained.beside.modules}, "nor is one built"
    assert trained.advance(norms=True)["gradient/size"] > 0


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


def test_diff_instruct_swaps_in_for_sid() -> None:
    swapped = distillation(terms=objectives() | {"score": DiffInstruct(DiffInstructOptions())})
    assert {one.gradient for one in swapped.generator_update.requests(0)[:2]} == {Gradient.CONSTANT}
    assert swapped.advance(norms=True)["gradient/score"] > 0


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


def test_the_generator_step_lowers_its_adversarial_loss() -> None:
    """Against a frozen ψ (learning rate nought), θ learns what D takes for real."""
    table = stage(
        objectives={"adversarial": {"use": "diffusion_gan"}},
        estimator={"lr": 1e-12},
        generator={"lr": 1e-2},
    )
    trained = distillation(table, {"adversarial": objectives()["adversarial"]})
    first = trained.advance(norms=False)["generator/adversarial"]
    for _ in range(60):
        last = trained.advance(norms=False)["generator/adversarial"]
    assert last < first - 0.02
    assert adversarial_loss(torch.zeros(1, 1), real=True).item() == pytest.approx(0.693, abs=1e-3)


def test_few_step_training_draws_one_call_for_the_whole_batch() -> None:
    """Uniform matching sees every call in turn, both roles their own; the draw is the step's alone."""
    trained = distillation(stage(calls=4))
    drawn = [[trained._call(role, draw) for draw in range(64)] for role in ("generator", "estimator")]
    assert set(drawn[0]) == set(drawn[1]) == {1, 2, 3, 4}
    assert drawn[0] != drawn[1]
    assert drawn[0] == [distillation(stage(calls=4))._call("generator", draw) for draw in range(64)]
    last = distillation(stage(calls=4, matching="last"))
    assert {last._call("generator", draw) for draw in range(8)} == {4}


def test_few_step_training_moves_theta_and_resumes_with_the_same_draws() -> None:
    whole, first = distillation(stage(calls=2)), distillation(stage(calls=2))
    for _ in range(4):
        whole.advance(norms=False)
    for _ in range(2):
        first.advance(norms=False)
    second = distillation(stage(calls=2))
    second.load(first.checkpoint({}))
    for _ in range(2):
        second.advance(norms=False)
    assert same(weights(whole.generator.network), weights(second.generator.network))
    assert not same(weights(whole.generator.network), weights(first.generator.network))


def test_a_student_refined_keeps_its_start_through_a_resume() -> None:
    terms = {"regression": Regression(RegressionOptions(steps=3, initial="student"))}
    table = stage(objectives={"regression": {"use": "regression"}}, generator={"lr": 1e-3})
    whole, first, second = (distillation(table, terms) for _ in range(3))
    begun = cast(DiffusionGenerator, whole.networks[START]).network
    start = weights(begun)
    for _ in range(4):
        whole.advance(norms=False)
    for _ in range(2):
        first.advance(norms=False)
    second.load(first.checkpoint({}))
    for _ in range(2):
        second.advance(norms=False)
    assert same(start, weights(begun))
    assert not same(start, weights(whole.generator.network))
    assert same(weights(whole.generator.network), weights(second.generator.network))
    assert START not in distillation(stage()).networks


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
    fill = Draw.fill

    def noted(self: Draw, row: Any, key: Key) -> None:
        made.append(key)
        fill(self, row, key)

    monkeypatch.setattr(Draw, "fill", noted)
    trained.advance(norms=False)
    names = {key[-1] for key in made}
    assert {"z", "t", "epsilon", "grid"} <= names
    assert len(made) == len({*made}), sorted(key for key in {*made} if made.count(key) > 1)
