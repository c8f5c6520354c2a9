"""The budget of passes: by hand where a stage's cost changes, and what it buys."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.ablation.budget import StageCost, costs, fitted
from dlmone.core import InputError, Sketch
from dlmone.registry import Registry, load_recipe
from dlmone.training.stage import stage_objectives

REGISTRY = Registry.discover()
SKETCH = Sketch(network=1000, space=100, positions=4, width=8)


def found(*overrides: str) -> tuple[Any, dict[str, StageCost]]:
    """The paper's two stages of SiD and Diffusion-GAN, ten steps of one example each, and their costs."""
    small = ["stages.*.steps=10", "stages.*.batch=1", "stages.*.validation.every=5"]
    recipe = load_recipe("qqp", registry=REGISTRY, profile="paper", overrides=[*small, *overrides]).recipe
    objectives = {name: stage_objectives(REGISTRY, recipe, name) for name in recipe.stages}
    return recipe, costs(recipe, objectives, SKETCH)


# ψ: θ's output 1, trained at it 3, and at real data 3. θ: trained 3, gradient to the inputs of φ and ψ 2 + 2.
PSI, THETA = 7, 7


def test_an_iteration_costs_its_updates() -> None:
    _, cost = found()
    assert [cost["stage-1"].until(steps) for steps in (0, 1, 10)] == [0, PSI + THETA, 10 * (PSI + THETA)]
    _, cost = found("stages.*.batch=6", "stages.*.estimator_steps=5")
    assert cost["stage-1"].until(1) == 6 * (5 * PSI + THETA)


def test_warm_up_and_late_terms_cost_what_they_do() -> None:
    _, cost = found("stages.stage-1.estimator_warmup=4")
    assert cost["stage-1"].until(4) == 4 * PSI
    assert cost["stage-1"].until(6) == 6 * PSI + 2 * THETA
    _, cost = found("stages.stage-1.objectives.score.generator_start=3")
    # Until SiD starts, θ's update has the adversarial term alone: trained 3, ψ with gradient to its input 2.
    assert cost["stage-1"].until(5) == 5 * PSI + 3 * 5 + 2 * THETA


@given(st.integers(0, 500), st.integers(0, 9))
def test_a_budget_buys_all_the_whole_iterations_it_pays_for(passes: int, warmup: int) -> None:
    _, cost = found(f"stages.stage-1.estimator_warmup={warmup}")
    steps = cost["stage-1"].steps(passes)
    assert cost["stage-1"].until(steps) <= passes < cost["stage-1"].until(steps + 1)


def test_stages_keep_their_shares_and_the_number_of_their_validations() -> None:
    recipe, cost = found("stages.stage-2.steps=30")
    settings = dict(fitted(recipe, cost, 400 * (PSI + THETA)))
    assert settings == {
        "stages.stage-1.steps": 100,
        "stages.stage-1.validation.every": 50,
        "stages.stage-2.steps": 300,
        "stages.stage-2.validation.every": 50,
    }


def test_a_budget_that_ends_in_the_warm_up_is_refused() -> None:
    recipe, cost = found("stages.stage-2.estimator_warmup=9")
    with pytest.raises(InputError, match=r"stages.stage-2: \d+ passes pay for \d iterations, too few for θ"):
        fitted(recipe, cost, 100)
