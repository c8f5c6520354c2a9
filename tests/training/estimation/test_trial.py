"""dlmone/training/estimation/trial.py: what an iteration takes beyond its passes reaches the estimate."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from dlmone.core import Auxiliary, Objective, Term
from dlmone.registry import Registry, load_recipe
from dlmone.runtime.device import Compute
from dlmone.training.distillation import Distillation
from dlmone.training.estimation import trial
from dlmone.training.estimation.calibration import Costs, iteration_cost, pretraining_cost
from dlmone.training.estimation.effort import Passes, measure, stage_effort
from dlmone.training.estimation.plan import Plan
from dlmone.training.pretraining import Pretraining
from dlmone.training.stage import stage_objectives
from dlmone.training.teacher import new_teacher

TINY = str(Path(__file__).parents[2] / "tiny.toml")
REGISTRY = Registry.discover()
#: A second for each forward pass of a sample, in either precision.
ONE = Costs(Passes(1.0, 2.0, 3.0), Passes(1.0, 2.0, 3.0), Passes(), Passes(), measured=True)


class Clock:
    """Seconds that pass in iterations alone, as many as their batch says."""

    def __init__(self, monkeypatch, fixed: float, each: float) -> None:
        self.now, self.rows = 0.0, []
        for kind in (Pretraining, Distillation):
            monkeypatch.setattr(kind, "advance", self.slowed(kind, kind.advance, fixed, each))

    def slowed(self, kind, advance, fixed, each):
        def slow(training, norms):
            batch = (training.config if kind is Pretraining else training.stage).batch
            self.now += fixed + each * batch
            self.rows.append(batch)
            return advance(training, norms)

        return slow

    def __call__(self) -> float:
        return self.now


@cache
def parts():
    recipe = load_recipe(TINY, registry=REGISTRY).recipe
    examples = REGISTRY.create("data", recipe.data, "data").split("train")
    teacher = new_teacher(recipe, REGISTRY, examples)
    return examples, teacher, measure(teacher)


def plan(*overrides, seconds=1e9, clock=None, costs=ONE):
    recipe = load_recipe(TINY, registry=REGISTRY, overrides=overrides).recipe
    compute = Compute.of(recipe.compute.model_copy(update={"device": "cpu"}))
    examples, teacher, sketch = parts()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    more = {"clock": clock} if clock else {}
    trials = trial.run_trials(recipe, REGISTRY, teacher, examples, compute, costs, sketch, seconds, **more)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    efforts = {
        name: stage_effort(stage, stage_objectives(REGISTRY, recipe, name), sketch)
        for name, stage in recipe.stages.items()
    }
    return Plan(recipe, sketch, efforts, costs, compute, trials)


def test_an_iteration_is_estimated_as_long_as_it_takes(monkeypatch):
    made = plan(clock=Clock(monkeypatch, fixed=100.0, each=20.0))
    assert set(made.trials) == {"teacher", "stage-1", "stage-2"}
    for name in made.trials:
        assert made.iteration_seconds(name) == pytest.approx(100 + 20 * 8), name


def test_the_rows_that_were_not_tried_take_the_time_of_their_passes(monkeypatch):
    clock = Clock(monkeypatch, fixed=100.0, each=20.0)
    cost = pretraining_cost(parts()[2], ONE)
    made = plan(clock=clock, seconds=2.5 * cost)
    assert made.trials["teacher"].rows == 2
    assert made.iteration_seconds("teacher") == pytest.approx(100 + 20 * 2 + 6 * cost)
    # More passes than that time allows: one row in any case.
    assert made.trials["stage-1"].rows == 1
    stage = made.recipe.stages["stage-1"]
    cost = iteration_cost(stage, made.efforts["stage-1"], ONE)
    assert made.iteration_seconds("stage-1") == pytest.approx(100 + 20 + 7 * cost)


def test_steps_without_an_update_of_theta_take_less():
    made = plan("stages.stage-1.estimator_warmup=3")
    stage, efforts = made.recipe.stages["stage-1"], made.efforts["stage-1"]
    psi, theta = (ONE.seconds(efforts[role]) for role in ("estimator", "generator"))
    assert iteration_cost(stage, efforts, ONE) == psi + theta
    beyond = 8 * made.trials["stage-1"].beyond
    assert made.seconds({"valid": 0})["stage-1"] == pytest.approx(8 * (8 * psi + 5 * theta) + beyond)


def test_a_student_of_several_calls_is_tried_with_all_and_estimated_with_half():
    made = plan("stages.stage-1.calls=3")
    few = plan()
    # Before the call that is trained there are two in the trial, one on average: of both updates.
    tried, mean, alone = (
        iteration_cost(
            one.recipe.stages["stage-1"].model_copy(update=update),
            stage_effort(
                one.recipe.stages["stage-1"].model_copy(update=update),
                stage_objectives(REGISTRY, one.recipe, "stage-1"),
                one.sketch,
            ),
            ONE,
        )
        for one, update in ((made, trial.TRIED), (made, {}), (few, {}))
    )
    assert (tried - alone, mean - alone) == (4, 2)
    assert made.iteration_seconds("stage-1") == pytest.approx(8 * mean + made.trials["stage-1"].beyond)


class Critic(Objective):
    """A term with a network of its own, which the objective calls itself."""

    def __init__(self, width: int) -> None:
        self.critic = Auxiliary("critic", lambda teacher: nn.Linear(width, 1, bias=False))
        self.auxiliaries = (self.critic,)
        self.width = width

    def requests(self, role):
        return () if role == "estimator" else None

    def estimator_loss(self, step):
        score = step.module(self.critic)(torch.ones(self.width))
        return Term(score.square().expand(len(step.fake)), {})


def test_what_an_objective_calls_itself_takes_memory(monkeypatch):
    def bytes_with(width):
        def with_critic(registry, recipe, name):
            return {**stage_objectives(registry, recipe, name), "adversarial": Critic(width)}

        monkeypatch.setattr(trial, "stage_objectives", with_critic)
        return plan().bytes("stage-1")

    # Weights and two moments; the gradient and the input are short-lived, and the peak may be elsewhere.
    assert 4 * 3 * 2**20 <= bytes_with(2**20) - bytes_with(1) <= 4 * 6 * 2**20


@pytest.mark.parametrize("name", ["teacher", "stage-1"])
def test_the_rows_that_were_not_tried_take_what_their_passes_keep(name):
    kept = Passes(0.0, 1e6, 1e6)
    costs = Costs(ONE.working, ONE.float32, kept, kept, measured=True)
    full, few = plan(costs=costs), plan(costs=costs, seconds=1e-9)
    assert (full.trials[name].rows, few.trials[name].rows) == (8, 1)
    loaded = 4 * (full.sketch.network + full.sketch.space)
    assert full.bytes(name) == full.trials[name].bytes + (loaded if name != "teacher" else 0)
    graphs = {"teacher": 1, "stage-1": 4}[name]  # SiD and Diffusion-GAN: φ, ψ, the features and θ

    def estimated(made):  # not what the trial took, which threads make vary
        return made.bytes(name) - made.trials[name].bytes - (loaded if name != "teacher" else 0)

    assert estimated(few) == pytest.approx(7 * graphs * 1e6, rel=0.3)
    # Two samples at a time, whatever the batch: one beside the row that was tried.
    micro = plan("compute.microbatch=2", costs=costs, seconds=1e-9)
    assert estimated(micro) == pytest.approx(estimated(few) / 7)
