"""BLEU, chrF, TER, iBLEU and ROUGE: equal to their libraries called directly, and the laws they keep."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_ter, sentence_chrf
from sacrebleu.metrics import CHRF

from dlmone.core.text.evaluator import Sample
from dlmone.plugins.standard.ibleu import IBleuEvaluator
from dlmone.plugins.standard.options import (
    ChrfOptions,
    IBleuOptions,
    RougeOptions,
    SacreBleuOptions,
    SariOptions,
    TerOptions,
)
from dlmone.plugins.standard.rouge import RougeEvaluator
from dlmone.plugins.standard.sacre import ChrfEvaluator, SacreBleuEvaluator, TerEvaluator
from dlmone.plugins.standard.sari import CorpusSariEvaluator

WORDS = st.sampled_from(["a", "b", "c", "the", "The", "don't", "why?", "5,000", "é", "cats", "(x)"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
LONG = st.lists(WORDS, min_size=4, max_size=12).map(" ".join)
CORPORA = st.lists(
    st.builds(lambda s, r, o: Sample("x", s, r, (o,)), SENTENCES, SENTENCES, SENTENCES),
    min_size=1,
    max_size=6,
)
CORPUS_EVALUATORS = [
    SacreBleuEvaluator(SacreBleuOptions()),
    SacreBleuEvaluator(SacreBleuOptions(tokenize="intl", lowercase=True)),
    ChrfEvaluator(ChrfOptions()),
    ChrfEvaluator(ChrfOptions(word_order=2)),
    TerEvaluator(TerOptions()),
    IBleuEvaluator(IBleuOptions()),
    CorpusSariEvaluator(SariOptions()),
]
corpus_evaluators = pytest.mark.parametrize("evaluator", CORPUS_EVALUATORS, ids=lambda e: e.name)


def value(evaluator, samples):
    [score] = evaluator.evaluate(samples)
    return score.value


def columns(samples):
    return [s.candidates[0] for s in samples], [s.reference for s in samples], [s.source for s in samples]


@given(CORPORA, st.sampled_from(["13a", "intl", "char", "none"]), st.booleans())
def test_bleu_is_sacrebleu(samples, tokenize, lowercase):
    outputs, references, _ = columns(samples)
    expected = corpus_bleu(outputs, [references], tokenize=tokenize, lowercase=lowercase).score
    options = SacreBleuOptions(tokenize=tokenize, lowercase=lowercase)
    assert value(SacreBleuEvaluator(options), samples) == expected


@given(CORPORA, st.sampled_from([0, 1, 2]), st.booleans())
def test_chrf_is_sacrebleu(samples, word_order, lowercase):
    outputs, references, _ = columns(samples)
    settings = {"word_order": word_order, "lowercase": lowercase}
    expected = CHRF(**settings).corpus_score(outputs, [references]).score
    assert value(ChrfEvaluator(ChrfOptions(**settings)), samples) == expected


@given(CORPORA, st.booleans(), st.booleans(), st.booleans())
def test_ter_is_sacrebleu(samples, normalized, no_punct, case_sensitive):
    outputs, references, _ = columns(samples)
    settings = {"normalized": normalized, "no_punct": no_punct, "case_sensitive": case_sensitive}
    expected = corpus_ter(outputs, [references], **settings).score
    assert value(TerEvaluator(TerOptions(**settings)), samples) == expected


@given(CORPORA, st.floats(0, 1))
def test_ibleu_is_its_formula(samples, alpha):
    outputs, references, sources = columns(samples)
    expected = alpha * corpus_bleu(outputs, [references]).score
    expected -= (1 - alpha) * corpus_bleu(outputs, [sources]).score
    found = value(IBleuEvaluator(IBleuOptions(alpha=alpha)), samples)
    assert found == pytest.approx(expected, abs=1e-9)
    assert -100 * (1 - alpha) - 1e-9 <= found <= 100 * alpha + 1e-9


def test_ibleu_by_hand():
    # Output and reference share 2 of 4 words and 1 of 3 word pairs; no 3-gram or 4-gram, which exponential
    # smoothing gives 1/2 and 1/4 of a match: BLEU = (2/4 · 1/3 · (1/2)/2 · (1/4)/1)^(1/4) = (1/96)^(1/4).
    # Output and source are equal: BLEU 1. iBLEU = 0.8 · (1/96)^(1/4) − 0.2.
    sample = Sample("0", "a b c d", "a b e f", ("a b c d",))
    assert value(IBleuEvaluator(IBleuOptions()), [sample]) == pytest.approx(
        100 * (0.8 * (1 / 96) ** 0.25 - 0.2)
    )


@given(LONG, LONG)
def test_copying_the_source_costs_ibleu_its_whole_penalty(source, reference):
    copy = Sample("0", source, reference, (source,))
    bleu = value(SacreBleuEvaluator(SacreBleuOptions()), [copy])
    assert value(IBleuEvaluator(IBleuOptions()), [copy]) == pytest.approx(0.8 * bleu - 20)


def test_ibleu_tells_a_copy_from_a_paraphrase_where_bleu_does_not():
    source, reference = "what is the best way to learn french", "what is the best method to learn french"
    paraphrase = "what is the best method for learning french"
    copy = [Sample("0", source, reference, (source,))]
    real = [Sample("0", source, reference, (paraphrase,))]
    bleu = SacreBleuEvaluator(SacreBleuOptions())
    ibleu = IBleuEvaluator(IBleuOptions(alpha=0.5))
    assert value(bleu, copy) - value(bleu, real) < 0 < value(ibleu, real) - value(ibleu, copy)


@corpus_evaluators
@given(samples=CORPORA, data=st.data())
def test_sums_of_statistics_score_any_resampled_corpus(evaluator, samples, data):
    rows = data.draw(st.lists(st.integers(0, len(samples) - 1), min_size=1, max_size=8))
    statistics = evaluator.corpus_statistics(samples)
    assert statistics.shape[0] == len(samples)
    assert statistics.dtype == np.float64
    drawn = evaluator.from_statistics(statistics[rows].sum(0))
    assert drawn == pytest.approx(value(evaluator, [samples[row] for row in rows]), abs=1e-9)


@corpus_evaluators
@given(samples=CORPORA, data=st.data())
def test_the_order_of_the_samples_changes_nothing(evaluator, samples, data):
    shuffled = data.draw(st.permutations(samples))
    assert value(evaluator, shuffled) == value(evaluator, samples)


@given(st.lists(LONG, min_size=1, max_size=4))
def test_outputs_that_are_their_references_score_best(sentences):
    samples = [Sample("x", "zz", s, (s,)) for s in sentences]
    assert value(SacreBleuEvaluator(SacreBleuOptions()), samples) == pytest.approx(100)
    assert value(ChrfEvaluator(ChrfOptions()), samples) == pytest.approx(100)
    assert value(TerEvaluator(TerOptions()), samples) == 0
    assert value(IBleuEvaluator(IBleuOptions()), samples) == pytest.approx(80)


@pytest.mark.parametrize(("output", "ter"), [("", 100), ("b", 100), ("a", 50), ("b b b b", 200)])
def test_empty_and_short_outputs(output, ter):
    # The reference has two words: so many edits in percent of 2.
    sample = Sample("0", "c", "a a", (output,))
    assert value(TerEvaluator(TerOptions()), [sample]) == ter
    assert value(SacreBleuEvaluator(SacreBleuOptions()), [sample]) == 0
    assert value(IBleuEvaluator(IBleuOptions()), [sample]) == 0
    assert (value(ChrfEvaluator(ChrfOptions()), [sample]) > 0) == ("a" in output)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_pairs_get_sentence_chrf_whatever_their_markers(pairs):
    outputs, references = zip(*pairs, strict=True)
    marked = [f"[CLS] {text} [SEP] [PAD]" for text in outputs]
    expected = [sentence_chrf(a, [b]).score for a, b in pairs]
    assert ChrfEvaluator(ChrfOptions()).score_pairs(marked, references) == expected


@given(CORPORA, st.booleans())
def test_rouge_is_the_library(samples, use_stemmer):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=use_stemmer)
    for score in RougeEvaluator(RougeOptions(use_stemmer=use_stemmer)).evaluate(samples):
        each = [scorer.score(s.reference, s.candidates[0])[score.name].fmeasure for s in samples]
        assert score.per_sample == tuple(each)
        assert score.value == pytest.approx(fmean(each))


def test_rouge_by_hand():
    # Output "the cats sat", reference "the cat sat down": words in common the, sat; P = 2/3, R = 2/4,
    # F1 = 4/7. Pairs in common: none. Longest common subsequence the, sat: as the words.
    # Stemmed, "cats" is "cat": P = 3/3, R = 3/4, F1 = 6/7; pairs the-cat, cat-sat: P = 2/2, R = 2/3,
    # F1 = 4/5.
    sample = Sample("0", "s", "The cat sat down.", ("The cats sat.",))
    plain = [s.value for s in RougeEvaluator(RougeOptions()).evaluate([sample])]
    stemmed = [s.value for s in RougeEvaluator(RougeOptions(use_stemmer=True)).evaluate([sample])]
    assert plain == pytest.approx([4 / 7, 0, 4 / 7])
    assert stemmed == pytest.approx([6 / 7, 4 / 5, 6 / 7])


def test_elfs_protocol_is_an_option():
    """Official scores of five pairs: BLEU lower-cased, ROUGE with stems (tests/data/elf/README.md)."""
    wanted = json.loads((Path(__file__).parents[2] / "data" / "elf" / "metrics.json").read_text())
    pairs = zip(wanted["references"], wanted["hypotheses"], strict=True)
    samples = [Sample(str(i), "", reference, (output,)) for i, (reference, output) in enumerate(pairs)]
    bleu = value(SacreBleuEvaluator(SacreBleuOptions(lowercase=True)), samples)
    assert bleu == pytest.approx(wanted["bleu"], rel=0, abs=1e-9)
    rouge = {
        score.name: 100 * score.value
        for score in RougeEvaluator(RougeOptions(use_stemmer=True)).evaluate(samples)
    }
    assert rouge == pytest.approx(wanted["rouge"], rel=0, abs=1e-9)
    plain = {score.name: 100 * score.value for score in RougeEvaluator(RougeOptions()).evaluate(samples)}
    assert plain["rouge1"] != pytest.approx(rouge["rouge1"], abs=0.1)
