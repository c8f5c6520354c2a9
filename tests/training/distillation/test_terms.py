"""dlmone/training/distillation.py: terms that take turns, share names, draw several calls or keep a start."""

from collections.abc import Mapping
from typing import cast

import pytest
import torch

from dlmone.core import START, DiffusionGenerator, Gradient, Objective
from dlmone.core.step.losses import adversarial_loss
from dlmone.plugins.diff_instruct.objective import DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions

from .small import distillation, objectives, same, stage, weights


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


def test_diff_instruct_swaps_in_for_sid() -> None:
    swapped = distillation(terms=objectives() | {"score": DiffInstruct(DiffInstructOptions())})
    assert {one.gradient for one in swapped.generator_update.requests(0)[:2]} == {Gradient.CONSTANT}
    assert swapped.advance(norms=True)["gradient/score"] > 0


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
