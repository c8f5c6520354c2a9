"""Distinct-n, Div-n and symmetric self-BLEU: by hand, against nltk, and their laws."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from dlmone.core.text.evaluator import Sample
from dlmone.plugins.standard.distinct import DistinctEvaluator, DivNEvaluator
from dlmone.plugins.standard.options import DistinctOptions, DivNOptions, SelfBleuOptions
from dlmone.plugins.standard.self_bleu import SymmetricSelfBleuEvaluator, self_bleu

WORDS = st.sampled_from("abcd")
SENTENCES = st.lists(WORDS, max_size=12)
SETS = st.lists(SENTENCES, min_size=2, max_size=6)


def outputs(*texts):
    return [Sample(str(i), "s", "r", (text,)) for i, text in enumerate(texts)]


def values(evaluator, samples):
    return {score.name: score.value for score in evaluator.evaluate(samples)}


def test_distinct_of_a_corpus_by_hand():
    # "a b a", "b a", "": words a b a b a, 2 of 5 distinct; pairs ab ba ba, 2 of 3 distinct (2 of 5 a word).
    samples = outputs("a b a", "b a", "")
    assert values(DistinctEvaluator(DistinctOptions()), samples) == pytest.approx(
        {"corpus_distinct_1": 2 / 5, "corpus_distinct_2": 2 / 3}
    )
    assert values(DistinctEvaluator(DistinctOptions(per="words")), samples) == pytest.approx(
        {"corpus_distinct_1": 2 / 5, "corpus_distinct_2": 2 / 5}
    )


def test_distinct_of_an_output_by_hand():
    # Words 2/3, 2/2, and 0 for the empty output; pairs 2/2, 1/1, 0.
    found = DistinctEvaluator(DistinctOptions(level="output")).evaluate(outputs("a b a", "b a", ""))
    assert [score.per_sample for score in found] == [(2 / 3, 1, 0), (1, 1, 0)]
    assert [score.name for score in found] == ["output_distinct_1", "output_distinct_2"]


def test_div_n_by_hand():
    # The first two of each set. "a b c", "a b d": words 4/6, pairs ab bc ab bd 3/4. Twice "a": 1/2, no pair.
    samples = [Sample("0", "s", "r", ("a b c", "a b d", "x y z")), Sample("1", "s", "r", ("a", "a", "b"))]
    found = DivNEvaluator(DivNOptions(candidates=2, orders=(1, 2))).evaluate(samples)
    assert [score.name for score in found] == ["div_n_1", "div_n_2"]
    assert [score.per_sample for score in found] == [(4 / 6, 1 / 2), (3 / 4, 0)]


def test_an_order_that_is_asked_twice_is_given_once():
    samples = [Sample("0", "s", "r", ("a", "b", "c"))]
    assert len(DistinctEvaluator(DistinctOptions(orders=(1, 1))).evaluate(samples)) == 1
    assert len(DivNEvaluator(DivNOptions(orders=(1, 1))).evaluate(samples)) == 1


def test_punctuation_is_a_word_unless_asked_otherwise():
    samples = outputs("why? why?")
    assert values(DistinctEvaluator(DistinctOptions(orders=(1,))), samples) == {"corpus_distinct_1": 2 / 4}
    plain = DistinctOptions(orders=(1,), tokenize="none")
    assert values(DistinctEvaluator(plain), samples) == {"corpus_distinct_1": 1 / 2}


@given(
    st.lists(SENTENCES.map(" ".join), min_size=1, max_size=6), st.sampled_from(["ngrams", "words"]), st.data()
)
def test_distinct_is_a_share_that_ignores_order_and_falls_with_repetition(texts, per, data):
    evaluator = DistinctEvaluator(DistinctOptions(per=per))
    found = values(evaluator, outputs(*texts))
    assert all(0 <= value <= 1 for value in found.values())
    assert values(evaluator, outputs(*data.draw(st.permutations(texts)))) == found
    twice = values(evaluator, outputs(*texts, *texts))
    assert twice == pytest.approx({name: value / 2 for name, value in found.items()})


@given(SETS)
def test_div_n_of_a_set_is_distinct_of_it_as_a_corpus(sentences):
    texts = [" ".join(words) for words in sentences]
    div = DivNEvaluator(DivNOptions(candidates=len(texts), orders=(1, 2, 4)))
    distinct = DistinctEvaluator(DistinctOptions(orders=(1, 2, 4)))
    [found] = [values(div, [Sample("0", "s", "r", tuple(texts))])]
    assert list(found.values()) == list(values(distinct, outputs(*texts)).values())


@given(SETS, st.integers(1, 5))
def test_self_bleu_is_nltk_with_all_others_as_references(candidates, order):
    smooth = SmoothingFunction().method1
    expected = fmean(
        float(
            sentence_bleu(
                candidates[:i] + candidates[i + 1 :],
                words,
                weights=(1 / order,) * order,
                smoothing_function=smooth,
            )
        )
        for i, words in enumerate(candidates)
    )
    assert self_bleu(candidates, order) == pytest.approx(expected, abs=1e-12)


def test_self_bleu_by_hand():
    # "a b" against "a c" and "b a": word a is in both, b in one: 2/2; the pair "a b" in none: 0.1/1.
    # "a c" against "a b" and "b a": word a only: 1/2; the pair "a c" in none: 0.1/1.
    # "b a" against "a b" and "a c": 2/2; the pair in none: 0.1/1. All have a reference of their own length.
    expected = ((1 * 0.1) ** 0.5 + (0.5 * 0.1) ** 0.5 + (1 * 0.1) ** 0.5) / 3
    assert self_bleu([list("ab"), list("ac"), list("ba")], order=2) == pytest.approx(expected)


@given(SETS, st.data())
def test_self_bleu_is_symmetric_and_bounded(candidates, data):
    found = self_bleu(candidates)
    assert 0 <= found <= 1 + 1e-12
    assert self_bleu(data.draw(st.permutations(candidates))) == pytest.approx(found)


@given(st.lists(WORDS, min_size=4, max_size=12), st.integers(2, 5))
def test_equal_candidates_have_self_bleu_one_and_the_least_div_n(words, k):
    sample = Sample("0", "s", "r", (" ".join(words),) * k)
    [score] = SymmetricSelfBleuEvaluator(SelfBleuOptions(candidates=k)).evaluate([sample])
    assert score.value == pytest.approx(1)
    once = values(DistinctEvaluator(DistinctOptions(orders=(4,))), outputs(" ".join(words)))
    div = values(DivNEvaluator(DivNOptions(candidates=k, orders=(4,))), [sample])
    assert div["div_n_4"] == pytest.approx(once["corpus_distinct_4"] / k)


def test_candidates_without_a_common_word_have_self_bleu_zero():
    assert self_bleu([["a", "b"], ["c"], ["d", "e", "f"]]) == 0
    assert self_bleu([[], []]) == 0
    assert self_bleu([["a"], []]) == 0


def test_only_the_first_candidates_are_read():
    evaluator = SymmetricSelfBleuEvaluator(SelfBleuOptions(candidates=2))
    [score] = evaluator.evaluate([Sample("0", "s", "r", ("a b c d", "a b c d", "x"))])
    assert evaluator.candidates == 2
    assert score.value == pytest.approx(1)
