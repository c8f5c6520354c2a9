"""Which scores a report draws, by what they say of themselves."""

import pytest

from dlmone.core import Chart, Sample
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot
from dlmone.report.measures import Measure, diversity, drawn, heading, ordered, quality
from dlmone.report.plugins import RunPlugins, charts_of

SCORES = {
    "copies": Measure("lower", "health"),
    "good": Measure(),
    "alike": Measure("lower", "diversity"),
    "varied": Measure("higher", "diversity"),
    "length": Measure("neither"),
    "errors": Measure("lower"),
}


def test_signs_of_health_come_last_and_are_not_drawn():
    assert ordered(SCORES) == ["good", "alike", "varied", "length", "errors", "copies"]
    assert drawn(SCORES) == ["good", "alike", "varied", "errors"]


def test_the_first_score_stands_for_quality_and_one_that_rises_for_diversity():
    assert (quality(SCORES), diversity(SCORES)) == ("good", "varied")
    assert diversity({"alike": SCORES["alike"]}) == "alike"
    assert (quality({"copies": SCORES["copies"]}), diversity({"good": SCORES["good"]})) == (None, None)
    assert heading("errors", SCORES["errors"]) == "errors ↓"


@pytest.mark.parametrize(
    ("name", "measures"),
    [
        ("bleu", {"bleu": "quality"}),
        ("diversity", {"self_bleu": "diversity", "div_4": "diversity"}),
        ("copy_rate", {"copy_rate": "health", "near_copy_rate": "health"}),
        ("symmetric_self_bleu", {"symmetric_self_bleu": "diversity"}),
        ("avg_len", {"avg_len": "health"}),
    ],
)
def test_built_in_scores_say_what_they_measure(name, measures):
    evaluator = Registry.discover().create("evaluators", EvaluatorSlot(use=name))
    scores = evaluator.evaluate([Sample("0", "a b", "a c", ("a d", "a c", "e") * 4)])
    assert {score.name: score.measures for score in scores} == measures


def test_of_charts_that_share_values_the_fuller_is_drawn():
    lag, both, other = Chart("lag", ("lag",)), Chart("lag and μ", ("lag", "mu")), Chart("D", ("d",))
    plugins = [RunPlugins({}, [lag, other]), RunPlugins({}, [both, other])]
    assert charts_of(plugins) == [both, other]
