"""Networks that objectives bring: trained, averaged, checkpointed and restored by the run, exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    START,
    TEACHER,
    Auxiliary,
    Average,
    Denoiser,
    Gradient,
    Noised,
    Objective,
    Point,
    Request,
    State,
    StepContext,
    Term,
)
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.plugins.progressive.objective import Progressive
from dlmone.plugins.progressive.options import ProgressiveOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import ToyTeacher, check_objective, new_step, toy_teacher
from dlmone.testing.toy import EXAMPLES, ToyOptions
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.saving.checkpoint import load_latest, save_checkpoint

from ..distillation.small import same, weights


class Critic(Objective):
    """A critic of its own on noised states, as another team would bring it: a linear map of φ's features."""

    def __init__(self) -> None:
        self.critic = Auxiliary("critic", lambda teacher: nn.Linear(teacher.feature_width, 1))
        self.auxiliaries = (self.critic,)
        self.fake = Request(TEACHER, Noised("output"), Gradient.INPUT, features=(-1,))
        self.real = Request(TEACHER, Noised("real"), features=(-1,))

    def requests(self, role: Role) -> Sequence[Request]:
        return (self.fake,) if role == "generator" else (self.fake, self.real)

    def score(self, step: StepContext, request: Request) -> Tensor:
        features_BNH, mask_BN = step[request].features()
        mask_BN1 = mask_BN[..., None]
        pooled_BH = (features_BNH * mask_BN1).sum(1) / mask_BN1.sum(1)
        scores_B1: Tensor = step.module(self.critic)(pooled_BH)
        return scores_B1[:, 0]

    def generator_loss(self, step: StepContext) -> Term:
        return Term(-self.score(step, self.fake), {})

    def estimator_loss(self, step: StepContext) -> Term:
        real_B, fake_B = self.score(step, self.real), self.score(step, self.fake)
        return Term(torch.relu(1 - real_B) + torch.relu(1 + fake_B), {"real": real_B.detach()})


@dataclass(frozen=True, slots=True)
class OneStepDown(State):
    """Where the teacher's DDIM leads from noised real data, one fifth of the time down."""

    @property
    def requests(self) -> tuple[Request, ...]:
        return (Request(TEACHER, Noised("real")),)

    def build(self, step: StepContext) -> Point:
        schedule, above = step.space.schedule, step.point(Noised("real"))
        s_B = (schedule.min_time + (above.t_B - schedule.min_time) * 4 // 5).to(above.t_B.dtype)
        x0 = step[self.requests[0]].x0
        e_s = ddim_step(schedule, x0, above.e_t, above.t_B, s_B)
        return Point(step.space.pin(e_s, above.e_t, above.batch), s_B, above.batch)


class Consistency(Objective):
    """θ at t agrees with its own average one step of the teacher's ODE further down (Song et al. 2023)."""

    def __init__(self) -> None:
        self.target = Average("target", GENERATOR, 0.5)
        self.auxiliaries = (self.target,)
        self.above = Request(GENERATOR, Noised("real"), Gradient.PARAMETERS)
        self.below = Request(self.target, OneStepDown())

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.above, self.below) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        mask = step.space.generated(step.real)
        return Term(masked_mean((step[self.above].x0 - step[self.below].x0) ** 2, mask), {})


STAGE = Stage.model_validate(
    {
        "steps": 4,
        "batch": 4,
        "t_init": 1490,
        "t_max": 1976,
        "generator": {"lr": 1e-2},
        "estimator": {"lr": 1e-2},
        "objectives": {"critic": {"use": "critic"}, "consistency": {"use": "consistency"}},
    }
)


def distillation() -> tuple[Distillation, Critic, Consistency]:
    teacher, critic, consistency = toy_teacher(), Critic(), Consistency()
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
    terms: dict[str, Objective] = {"critic": critic, "consistency": consistency}
    examples = TokenizedExamples(teacher.space, EXAMPLES)
    return Distillation("stage-1", STAGE, teacher, terms, examples, compute, 0), critic, consistency


@pytest.mark.parametrize("objective", [Critic(), Consistency()], ids=["critic", "consistency"])
def test_the_contract_holds_for_networks_of_an_objectives_own(objective: Objective) -> None:
    check_objective(objective)


def test_what_objectives_bring_is_trained_and_averaged() -> None:
    trained, critic, consistency = distillation()
    assert ESTIMATOR not in trained.beside.modules, "nobody requested ψ, so there is none"
    before = weights(trained.beside.modules[critic.critic])
    theta = weights(trained.generator.network)
    logged = trained.advance(norms=True)
    assert not same(before, weights(trained.beside.modules[critic.critic]))
    assert {"critic/real", "gradient/critic", "gradient/consistency"} <= logged.keys()
    assert logged["gradient/consistency"] > 0, "also where gradient does not pass θ's own output"
    average = trained.beside.modules[consistency.target]
    for name, value in weights(trained.generator.network).items():
        torch.testing.assert_close(average.network.state_dict()[name], (theta[name] + value) / 2)
    assert average.space is trained.space


def test_a_run_with_a_critic_and_an_ema_target_resumes_exactly() -> None:
    whole, first, second = (distillation() for _ in range(3))
    for _ in range(4):
        expected = whole[0].advance(norms=True)
    for _ in range(2):
        first[0].advance(norms=True)
    checkpoint = first[0].checkpoint({})
    second[0].load(checkpoint)
    for _ in range(2):
        found = second[0].advance(norms=True)
    assert found == expected
    assert same(weights(whole[0].generator.network), weights(second[0].generator.network))
    for place in (1, 2):
        [one], [other] = whole[place].auxiliaries, second[place].auxiliaries
        assert same(weights(whole[0].beside.modules[one]), weights(second[0].beside.modules[other]))
    names = {name.split("/")[0] for name in checkpoint.tensors}
    assert {"critic.critic", "critic.critic_optimizer", "consistency.target"} <= names


class Centred(SiD):
    """Weighs its loss by a running mean of θ's output, a tensor that it keeps."""

    def __init__(self) -> None:
        super().__init__(SiDOptions())
        self.mean_LD, self.updates = torch.zeros(10, 4), 0

    def generator_loss(self, step: StepContext) -> Term:
        self.mean_LD = 0.5 * self.mean_LD + 0.5 * step.e_fake.detach().mean(0)
        self.updates += 1
        term = super().generator_loss(step)
        return Term(term.loss_B * (1 + self.mean_LD.norm()), term.logged)

    def state(self) -> dict[str, float | Tensor]:
        return {**super().state(), "mean": self.mean_LD, "updates": self.updates}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:
        super().load_state(state)
        mean_LD, updates = state["mean"], state["updates"]
        assert isinstance(mean_LD, Tensor)
        self.mean_LD, self.updates = mean_LD, int(updates)


def test_an_objectives_tensors_are_on_disk_and_resume_exactly(tmp_path: Path) -> None:
    def trained() -> Distillation:
        table = STAGE.model_dump() | {"objectives": {"score": {"use": "centred"}}}
        teacher = toy_teacher()
        compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
        examples = TokenizedExamples(teacher.space, EXAMPLES)
        stage = Stage.model_validate(table)
        return Distillation("stage-1", stage, teacher, {"score": Centred()}, examples, compute, 0)

    whole, first, second = (trained() for _ in range(3))
    for _ in range(4):
        expected = whole.advance(norms=True)
    for _ in range(2):
        first.advance(norms=True)
    save_checkpoint(tmp_path, first.checkpoint({}), keep=1)
    checkpoint = load_latest(tmp_path)
    assert checkpoint is not None
    assert checkpoint.tensors["objective.score/mean"].norm() > 0
    second.load(checkpoint)
    for _ in range(2):
        found = second.advance(norms=True)
    assert found == expected
    assert same(weights(whole.generator.network), weights(second.generator.network))
    assert second.objectives["score"].state()["updates"] == 4


def test_guidance_takes_two_calls_and_extrapolates_between_them() -> None:
    teacher = toy_teacher()
    plain, guided = Request(TEACHER, Noised()), Request(TEACHER, Noised(), guidance=3.0)
    step = new_step(teacher, "generator", [plain, guided])
    point, null = step.point(Noised()), teacher.space.null_condition(step.fake)
    network = step.networks[TEACHER]
    assert isinstance(network, Denoiser)
    pinned = step.space.pin(point.e_t, step.space.embed(null), null)
    without = network.denoise(pinned, point.t_B, null).x0
    expected = without + 3.0 * (step[plain].x0 - without)
    torch.testing.assert_close(step[guided].x0, expected.detach())
    assert not torch.allclose(step[guided].x0, step[plain].x0)


@pytest.mark.parametrize("exact", [True, False])
def test_what_an_objective_subtracts_is_float32_under_autocast_if_it_says_so(exact: bool) -> None:
    consistency = Consistency()
    above, below = (replace(one, exact=exact) for one in (consistency.above, consistency.below))
    step = new_step(toy_teacher(), "generator", [above, below], auxiliaries=consistency.auxiliaries)
    dtypes = set()
    for network in (GENERATOR, consistency.target):
        linear = step.networks[network].network.own
        linear.register_forward_hook(lambda _, __, output: dtypes.add(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert step[above].x0.shape == step[below].x0.shape
    assert (torch.bfloat16 in dtypes) is not exact


def test_the_students_start_is_not_rounded_where_it_is_subtracted() -> None:
    """As φ's, its weights stay float32 under bfloat16."""
    progressive = Progressive(ProgressiveOptions(steps=2))
    table = STAGE.model_dump() | {"objectives": {"round": {"use": "progressive"}}}
    compute = Compute(torch.device("cpu"), bfloat16=True, world=World())
    teacher = toy_teacher()
    examples = TokenizedExamples(teacher.space, EXAMPLES)
    stage = Stage.model_validate(table)
    trained = Distillation("stage-1", stage, teacher, {"round": progressive}, examples, compute, 0)
    assert {p.dtype for p in trained.networks[START].network.parameters()} == {torch.float32}
    assert trained.advance(norms=True)["gradient/round"] > 0


class Sharing(ToyTeacher):
    """Its network holds a parameter of the space, as one does that reads the embedding table."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.space.scale = nn.Parameter(torch.ones(1))
        self.network.scale = self.space.scale


def test_what_a_network_shares_with_the_space_stays_shared_and_frozen() -> None:
    teacher = Sharing.build(ToyOptions(), EXAMPLES)
    table = STAGE.model_dump() | {"objectives": {"score": {"use": "sid"}}}
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
    examples = TokenizedExamples(teacher.space, EXAMPLES)
    terms = {"score": SiD(SiDOptions())}
    trained = Distillation("stage-1", Stage.model_validate(table), teacher, terms, examples, compute, 0)
    psi = trained.beside.modules[ESTIMATOR].network
    assert trained.generator.network.scale is psi.scale is teacher.space.scale
    trained.advance(norms=False)
    assert not teacher.space.scale.requires_grad
    names = {*trained.generator_optimizer.named, *trained.beside.optimizers["estimator"].named}
    assert not [name for name in names if "scale" in name]
