"""The plugin as a plugin: its names, what importing it costs, its signatures, and its refusals."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest
from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Evaluator, Sample
from dlmone.plugins import metrics
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.diversity import DiversityEvaluator
from dlmone.plugins.metrics.options import BertScoreOptions, BleuOptions, DiversityOptions, NoOptions

OFFERS: dict[str, tuple[str, str, str]] = {}
metrics.register_evaluators(
    lambda name, target, *, options, help, default: OFFERS.update({name: (target, options, help)})
)


def load(target):
    module, name = target.split(":")
    return getattr(import_module(module), name)


def test_names():
    assert set(OFFERS) == {
        *("bleu", "rouge_l", "bertscore", "dist_1", "avg_len", "diversity", "copy_rate", "health")
    }
    assert all(help for _, _, help in OFFERS.values())


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_an_evaluator_is_built_with_its_default_options_and_refuses_no_samples(name):
    target, options, _ = OFFERS[name]
    evaluator = load(target)(load(options)())
    assert isinstance(evaluator, Evaluator)
    with pytest.raises(InputError, match=f"{name} needs at least one sample"):
        evaluator.evaluate([])
    with pytest.raises(InputError, match=f"{name} needs . candidate.*'7' has 0"):
        evaluator.evaluate([Sample("7", "s", "r", ())])


@pytest.mark.parametrize("name", sorted(OFFERS.keys() - {"bertscore"}))
def test_each_score_carries_its_definition_and_one_value_a_sample(name):
    target, options, _ = OFFERS[name]
    evaluator = load(target)(load(options)())
    for score in evaluator.evaluate(
        [Sample("0", "a b", "a c", ("a b", "c", "")), Sample("1", "", "", ("",) * 3)]
    ):
        fields = dict(field.split(":", 1) for field in score.signature.split("|"))
        assert list(fields)[:2] == ["family", "metric"]
        assert fields["metric"] == score.name
        assert fields["candidates"] == str(evaluator.candidates)
        assert fields["dlmone"] == version("dlmone")
        assert score.per_sample is not None
        assert score.value == pytest.approx(sum(score.per_sample) / 2)


def test_the_signature_of_bleu():
    [score] = BleuEvaluator(BleuOptions()).evaluate([Sample("0", "s", "r", ("o",))])
    assert score.signature == (
        "family:diffuseq|metric:bleu|tok:whitespace|smooth:nltk-method4|candidates:1"
        f"|dlmone:{version('dlmone')}"
    )


def test_diversity_reads_as_many_candidates_as_asked():
    evaluator = DiversityEvaluator(DiversityOptions(candidates=2))
    self_bleu, _ = evaluator.evaluate([Sample("0", "s", "r", ("a b c d", "a b c d", "e f g h"))])
    assert evaluator.candidates == 2
    assert self_bleu.value == pytest.approx(1)
    with pytest.raises(InputError, match="needs 2 candidate"):
        evaluator.evaluate([Sample("0", "s", "r", ("a b c d",))])


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (NoOptions, {"tok": "13a"}),
        (DiversityOptions, {"candidates": 1}),
        (BertScoreOptions, {"num_layers": 0}),
    ],
)
def test_options_refuse_what_they_do_not_know(model, table):
    with pytest.raises(ValidationError):
        model(**table)


def test_listing_the_plugin_and_its_options_imports_nothing_heavy():
    heavy = {"torch", "nltk", "rouge_score", "bert_score", "transformers", "numpy"}
    code = "import sys, dlmone.plugins.metrics.options; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
