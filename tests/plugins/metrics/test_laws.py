"""Laws that hold for any texts: bounds, symmetries, and agreement with second definitions."""

import math
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core.text.degeneration import is_copy, repeats
from dlmone.core.text.evaluator import Sample
from dlmone.plugins.metrics.bleu import BleuEvaluator, pair_bleus
from dlmone.plugins.metrics.diversity import diversities
from dlmone.plugins.metrics.health import CopyRateEvaluator, HealthEvaluator
from dlmone.plugins.metrics.options import BleuOptions, HealthOptions, NoOptions
from dlmone.plugins.metrics.rouge import rouge_ls
from dlmone.plugins.metrics.strings import clean_output, clean_text
from dlmone.plugins.metrics.tokens import encode_pairs
from dlmone.plugins.metrics.words import AvgLenEvaluator, dist_1
from dlmone.plugins.selection.mbr import utilities

WORDS = st.sampled_from(["a", "b", "c", "the", "The", "don't", "why?", "5,000", "é", "[UNK]"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
MARKED = st.lists(st.one_of(WORDS, st.sampled_from(["[CLS]", "[SEP]", "[PAD]", " "])), max_size=12).map(
    " ".join
)


def sentence_bleu(output, reference):
    [value] = pair_bleus(*encode_pairs([output], [reference], str.split)).tolist()
    return value


def rouge_l(output, reference):
    [value] = rouge_ls([output], [reference])
    return value


def bleu_by_formula(output: str, reference: str) -> float:
    """Smoothed BLEU-4 as a formula: counts of zero become ln(c) / (5 * 2^k) for the k-th of them."""
    hypothesis, target = output.split(), reference.split()
    c, r = len(hypothesis), len(target)
    logs, zeros = [], 0
    for n in range(1, 5):
        grams = [tuple(hypothesis[i : i + n]) for i in range(c - n + 1)]
        targets = [tuple(target[i : i + n]) for i in range(r - n + 1)]
        matches: float = sum(min(grams.count(gram), targets.count(gram)) for gram in set(grams))
        if n == 1 and matches == 0:
            return 0.0
        if matches == 0 and c > 1:
            zeros += 1
            matches = math.log(c) / (5 * 2**zeros)
        if matches > 0:
            logs.append(math.log(matches / max(1, len(grams))))
    brevity = 1.0 if c > r else math.exp(1 - r / c)
    return brevity * math.exp(sum(logs) / 4)


def lcs_by_recursion(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return 1 + lcs_by_recursion(a[:-1], b[:-1])
    return max(lcs_by_recursion(a[:-1], b), lcs_by_recursion(a, b[:-1]))


@given(SENTENCES, SENTENCES)
def test_bleu_is_its_formula(output, reference):
    assert sentence_bleu(output, reference) == pytest.approx(bleu_by_formula(output, reference), abs=1e-12)


@given(st.lists(WORDS, min_size=4, max_size=12).map(" ".join))
def test_bleu_of_an_identical_sentence_is_one(sentence):
    assert sentence_bleu(sentence, sentence) == pytest.approx(1.0)


@given(SENTENCES, SENTENCES)
def test_rouge_is_symmetric_and_bounded(first, second):
    assert rouge_l(first, second) == pytest.approx(rouge_l(second, first))
    assert 0 <= rouge_l(first, second) <= 1


@given(*[st.lists(st.sampled_from("abc"), min_size=1, max_size=6)] * 2)
def test_rouge_is_the_longest_common_subsequence(output, reference):
    common = lcs_by_recursion(tuple(output), tuple(reference))
    expected = 2 * common / (len(output) + len(reference))
    assert rouge_l(" ".join(output), " ".join(reference)) == pytest.approx(expected)


@given(*[st.text(st.sampled_from("abAB09 .,'\t\n[]éİß"), max_size=25)] * 2)
def test_rouge_is_that_of_torchmetrics(output, reference):
    functional = pytest.importorskip("torchmetrics.functional.text.rouge")
    expected = functional.rouge_score(output, reference, rouge_keys="rougeL")["rougeL_fmeasure"]
    assert rouge_l(output, reference) == pytest.approx(float(expected), abs=1e-6)


@given(SENTENCES)
def test_dist_1_is_a_positive_share(sentence):
    value = dist_1(sentence)
    assert 0 < value <= 1 if sentence else value == 0
    assert (value == 1) == (len(set(sentence.split())) == len(sentence.split()) > 0)


@given(st.lists(SENTENCES, min_size=2, max_size=4))
def test_diversity_is_its_definition(candidates):
    [self_bleu], [div_4] = diversities([candidates])
    pairs = [sentence_bleu(output, reference) for output, reference in combinations(candidates, 2)]
    words = [candidate.split() for candidate in candidates]
    grams = [tuple(w[i : i + 4]) for w in words for i in range(len(w) - 3)]
    assert self_bleu == pytest.approx(fmean(pairs), abs=1e-12)
    assert div_4 == (len(set(grams)) / len(grams) if grams else 0)


def test_diversity_of_equal_candidates_is_least():
    [self_bleu], [div_4] = diversities([["a b c d e"] * 3])
    assert (self_bleu, div_4) == (pytest.approx(1), pytest.approx(1 / 3))


@given(st.lists(SENTENCES, min_size=1, max_size=4))
def test_matrices_have_outputs_as_rows(candidates):
    [matrix] = utilities([candidates], BleuEvaluator(BleuOptions()))
    for i, output in enumerate(candidates):
        for j, reference in enumerate(candidates):
            assert matrix[i, j] == (0 if i == j else sentence_bleu(output, reference))


@given(MARKED)
def test_cleaning_twice_changes_no_word(text):
    for clean in (clean_text, clean_output):
        once = clean(text)
        assert clean(once).split() == once.split()
        assert clean(once.strip()) == once.strip()
    assert not any(marker in clean_output(text) for marker in ("[CLS]", "[SEP]", "[PAD]"))


@given(SENTENCES, SENTENCES)
def test_markers_change_no_metric_of_words(output, reference):
    marked = f"[CLS] {output} [SEP] [PAD]"
    assert sentence_bleu(clean_output(marked), reference) == sentence_bleu(output, reference)
    assert repeats(clean_output(marked)) == repeats(output)
    assert is_copy(clean_output(marked), output) == bool(output.split())


def test_copy_rate():
    samples = [
        Sample("0", "[CLS] Why  is it? [SEP] [SEP]", "r", ("[CLS] why is it? [SEP] [PAD]", "ignored")),
        Sample("1", "why is it?", "r", ("why is it",)),
    ]
    score, near = CopyRateEvaluator(NoOptions()).evaluate(samples)
    assert (near.name, near.per_sample) == ("near_copy_rate", (1.0, 1.0))
    assert (score.value, score.per_sample, score.direction) == (0.5, (1.0, 0.0), "lower")


def test_health():
    outputs = ["[CLS] [PAD] [PAD] [SEP]", "a b a b", "a the the b"]
    scores = HealthEvaluator(HealthOptions()).evaluate([Sample(o, "s", "r", (o,)) for o in outputs])
    assert {score.name: score.per_sample for score in scores} == {
        "empty_rate": (1, 0, 0),
        "repetition_rate": (0, 0, 1),
        "mean_words": (0, 4, 4),
        "unknown_rate": (0, 0, 0),
    }
    assert [score.direction for score in scores] == ["lower", "lower", "lower", "neither"]


@pytest.mark.parametrize(
    ("outputs", "length", "said"),
    [
        (["[CLS] a b [SEP]"], 4, "counted"),
        (["a b"], 2, "none"),
        (["[CLS] a b [SEP]", "a b"], 3, "mixed"),
    ],
)
def test_average_length_says_whether_outer_spaces_were_counted(outputs, length, said):
    [score] = AvgLenEvaluator(NoOptions()).evaluate([Sample("0", "s", "r", (o,)) for o in outputs])
    assert score.value == length
    assert f"|outer_spaces:{said}|" in score.signature
