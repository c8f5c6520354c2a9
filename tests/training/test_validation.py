"""Validation: what of the split it takes, what it logs of a model, and what it refuses."""

import math

import pytest
import torch

from dlmone.core import Evaluator, InputError, Sample, Score
from dlmone.evaluation.confidence import Resampling, Sums
from dlmone.generation.inference import generate_samples
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.options import BleuOptions
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import Validation
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES
from dlmone.training.validation import (
    Validator,
    check_metrics,
    deciding_score,
    improves,
    validation_evaluators,
    validations,
)

COMPUTE = Compute(torch.device("cpu"), bfloat16=False, world=World())
REGISTRY = Registry.discover()


class Length(Evaluator):
    """The number of words of all samples: no mean over examples, and no function of sums that it offers."""

    def evaluate(self, samples: list[Sample]) -> list[Score]:
        words = sum(len(sample.candidates[0].split()) for sample in samples)
        return [Score("words", float(words), "words", "neither")]


def validator(evaluators: dict[str, Evaluator], **config: object) -> Validator:
    return Validator(Validation(**config), "stages.a", evaluators, EXAMPLES, COMPUTE, seed=3)


def test_all_is_the_whole_split_and_a_number_the_first_rows() -> None:
    bleu = {"bleu": BleuEvaluator(BleuOptions())}
    assert list(validator(bleu, examples="all").examples) == list(EXAMPLES)
    assert list(validator(bleu, examples=2).examples) == list(EXAMPLES)[:2]
    assert len(validator(bleu).examples) == min(200, len(EXAMPLES))


def test_the_deciding_score_comes_with_its_bootstrap_interval() -> None:
    bleu = BleuEvaluator(BleuOptions())
    generator = toy_teacher().new_generator(1490)
    result = validator({"bleu": bleu}, metric="bleu", candidates=2)(generator, 1)
    samples = generate_samples(generator, EXAMPLES, COMPUTE, candidates=2, seed=3).samples
    (score,) = bleu.evaluate(samples)
    assert result.deciding == score
    assert result.named["bleu"] == score.value
    assert score.per_sample is not None
    (interval,) = Resampling().intervals([Sums.of_mean(score.per_sample)])
    assert result.logged_interval == {"interval/low": interval[0], "interval/high": interval[1]}
    assert {"empty", "repetitive", "copied", "mean_length"} <= result.named.keys()


def test_a_score_that_is_no_function_of_sums_has_no_interval() -> None:
    result = validator({"words": Length()}, metric="words")(toy_teacher().new_generator(1490), 1)
    assert result.interval is None
    assert result.logged_interval == {}


@pytest.mark.parametrize("where", ["teacher.pretrain", "stages.start"])
def test_a_metric_that_nobody_gives_fails_before_training(where: str) -> None:
    setting = f"{where}.validation.metric=blue"
    recipe = load_recipe("qqp", registry=REGISTRY, overrides=[setting]).recipe
    assert where in validations(recipe)
    with pytest.raises(InputError, match=rf"^{where}\.validation\.metric: .* gives a score 'blue'; .* bleu"):
        check_metrics(recipe, {"bleu": BleuEvaluator(BleuOptions())}, EXAMPLES)


def test_a_recipe_without_metrics_says_that_there_are_none() -> None:
    with pytest.raises(
        InputError, match=r"there is no evaluation.metrics.bleu; the recipe has no .* at all$"
    ):
        validation_evaluators({}, Validation(metrics=["bleu"]), "stages.a")
    with pytest.raises(InputError, match=r"there is no evaluation.metrics.belu; did you mean 'bleu'\?$"):
        validation_evaluators(
            {"bleu": BleuEvaluator(BleuOptions())}, Validation(metrics=["belu"]), "stages.a"
        )
    with pytest.raises(InputError, match=r"gives a score 'bleu'; it runs none that gives any$"):
        deciding_score([], "bleu", "stages.a")
    with pytest.raises(InputError, match=r"gives a score None; it runs none that gives any$"):
        deciding_score([], None, "stages.a")


def test_a_number_of_examples_is_a_number_or_all() -> None:
    with pytest.raises(InputError, match='expected a number of examples, or "all", got "some"'):
        load_recipe("qqp", registry=REGISTRY, overrides=["stages.*.validation.examples=some"])


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_score_that_is_not_finite_beats_none(direction: str) -> None:
    def score(value: float) -> Score:
        return Score("q", value, "q", direction)  # type: ignore[arg-type]

    for wrong in (math.nan, math.inf, -math.inf):
        assert not improves(score(wrong), None)
        assert not improves(score(wrong), 0.5)
    assert improves(score(0.5), None)
    assert improves(score(0.6), 0.5) is (direction == "higher")
