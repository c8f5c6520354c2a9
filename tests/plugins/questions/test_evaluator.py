"""Fidelity and coverage on samples made by hand."""

import subprocess
import sys

import pytest

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample
from dlmone.plugins.questions.evaluator import QuestionsEvaluator
from dlmone.plugins.questions.grammar import paraphrases
from dlmone.plugins.questions.options import EvaluatorOptions

SOURCE = "which car is best for students ?"
A, B, C = sorted(paraphrases(SOURCE))


def sample(*candidates, source=SOURCE):
    return Sample(id="q-1", source=source, reference=A, candidates=candidates)


def scores(*samples, candidates=8):
    evaluated = QuestionsEvaluator(EvaluatorOptions(candidates=candidates)).evaluate(samples)
    return {score.name: score for score in evaluated}


@pytest.mark.parametrize(
    ("candidate", "faithful"),
    [
        (A, 1),
        (B.replace(" ?", "?"), 1),
        (SOURCE, 0),
        (SOURCE.replace(" ?", "?"), 0),
        (A.replace("students", "children"), 0),
        (A.replace("car", "phone"), 0),
        (A.removesuffix(" ?"), 0),
        ("what do students think about war ?", 0),
        ("", 0),
    ],
)
def test_fidelity_of_one_candidate(candidate, faithful):
    assert scores(sample(candidate))["fidelity"].value == faithful


def test_fidelity_is_the_share_of_faithful_candidates_of_as_many_as_all_have():
    fidelity = scores(sample(A, B, ""), sample(SOURCE, A), sample("", SOURCE))["fidelity"]
    assert fidelity.per_sample == (1.0, 0.5, 0.0)
    assert fidelity.value == 0.5
    assert "candidates:2" in fidelity.signature


def test_fidelity_of_first_candidates_where_there_are_no_more():
    fidelity = scores(sample(A), sample(SOURCE, A), sample(B, SOURCE), sample(""))["fidelity"]
    assert fidelity.value == 0.5
    assert fidelity.per_sample == (1.0, 0.0, 1.0, 0.0)
    assert fidelity.direction == "higher"
    assert fidelity.signature.startswith("metric:fidelity|grammar:2|candidates:1|dlmone:")


@pytest.mark.parametrize(
    ("candidates", "share"),
    [
        ([A] * 8, 1 / 3),
        ([A, B, C, *[""] * 5], 1),
        ([SOURCE] * 8, 0),
        ([A, A.replace(" ?", "?"), B, SOURCE, *["noise"] * 4], 2 / 3),
        ([*[""] * 8, A], 0),
    ],
    ids=["collapsed", "complete", "copies", "duplicates", "ninth"],
)
def test_coverage_counts_distinct_paraphrases_among_the_first_eight(candidates, share):
    assert scores(sample(*candidates))["coverage"].value == pytest.approx(share)


def test_coverage_is_a_mean_over_sources_with_a_signature():
    coverage = scores(sample(*[A] * 8), sample(A, B, C, *[A] * 5))["coverage"]
    assert coverage.per_sample == pytest.approx((1 / 3, 1))
    assert coverage.value == pytest.approx(2 / 3)
    assert coverage.signature.startswith("metric:coverage|grammar:2|candidates:8|dlmone:")


def test_coverage_is_of_as_many_as_the_candidates_can_show():
    assert scores(sample(A, B), candidates=2)["coverage"].value == 1
    assert scores(sample(A, A), candidates=2)["coverage"].value == 0.5


def test_coverage_is_left_out_where_a_sample_has_too_few_candidates():
    assert set(scores(sample(*[A] * 8), sample(*[A] * 7))) == {"fidelity"}


def test_samples_that_cannot_be_scored():
    with pytest.raises(InputError, match=r"sample 'q-1' is no question of the grammar: 'hello'"):
        scores(sample(A, source="hello"))
    with pytest.raises(InputError, match="sample 'q-1' has no candidates"):
        scores(sample())
    with pytest.raises(InputError, match="no samples"):
        scores()


@pytest.mark.parametrize("module", ["grammar", "options"])
def test_grammar_and_options_load_no_torch(module):
    code = f"""
import sys, dlmone.plugins.questions.{module}
sys.exit(bool({{'torch', 'numpy'}} & set(sys.modules)))"""
    subprocess.run([sys.executable, "-c", code], check=True)
