"""BLEU, ROUGE-L, self-BLEU and MBR beside nltk and torchmetrics themselves, on thousands of random texts."""

import random

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample
from dlmone.plugins.metrics.bleu import BleuEvaluator, pair_bleus, smoothed_bleu
from dlmone.plugins.metrics.diversity import diversities
from dlmone.plugins.metrics.options import BleuOptions, RougeLOptions
from dlmone.plugins.metrics.rouge import RougeLEvaluator, rouge_ls
from dlmone.plugins.metrics.tokens import encode_pairs
from dlmone.plugins.selection.mbr import utilities

PAIRS = 5000
METHOD_4 = SmoothingFunction().method4


def sentence_bleus(outputs, references):
    return pair_bleus(*encode_pairs(outputs, references, str.split)).tolist()


def matrices_of(groups):
    return utilities(groups, BleuEvaluator(BleuOptions()))


def nltk_bleu(output, reference):
    return sentence_bleu([reference.split()], output.split(), smoothing_function=METHOD_4)


def texts(count, seed):
    """Random texts of 0 to 30 words, few enough different ones that many n-grams repeat and match."""
    draw = random.Random(seed)
    words = [*"abcdefgh", "The", "the", "don't", "why?", "5,000", "é", "[UNK]"]
    return [" ".join(draw.choices(words[: draw.randint(1, 15)], k=draw.randint(0, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def outputs():
    return texts(PAIRS, seed=1)


@pytest.fixture(scope="module")
def references(outputs):
    """A third of the references are their output with a few words exchanged, so that long n-grams match."""
    draw = random.Random(2)
    others = texts(PAIRS, seed=3)
    for n in range(0, PAIRS, 3):
        words = outputs[n].split()
        others[n] = " ".join(draw.choice("abc") if draw.random() < 0.1 else word for word in words)
    return others


def test_bleu_is_that_of_nltk_to_the_last_bit(outputs, references):
    expected = [nltk_bleu(output, reference) for output, reference in zip(outputs, references, strict=True)]
    assert sentence_bleus(outputs, references) == expected
    assert len({value for value in expected if 0 < value < 1}) > PAIRS / 4


def test_bleu_of_very_long_texts_is_that_of_nltk():
    draw = random.Random(4)
    long = [" ".join(draw.choices("ab", k=k)) for k in (254, 255, 256, 257, 2500, 3000)]
    assert sentence_bleus(long, long[::-1]) == [*map(nltk_bleu, long, long[::-1])]


def test_rouge_l_is_that_of_torchmetrics(outputs, references):
    rouge_score = pytest.importorskip("torchmetrics.functional.text.rouge").rouge_score
    expected = [
        rouge_score(output, reference, rouge_keys="rougeL")["rougeL_fmeasure"].item()
        for output, reference in zip(outputs, references, strict=True)
    ]
    assert np.abs(np.subtract(rouge_ls(outputs, references), expected)).max() <= 1e-6


@pytest.mark.parametrize(("groups", "size"), [(150, 2), (60, 5), (20, 10)])
def test_mbr_and_self_bleu_are_those_of_nltk_ties_included(groups, size):
    """Of three words and at most five, so that candidates repeat and risks tie."""
    draw = random.Random(size)
    drawn = [
        [" ".join(draw.choices("abc", k=draw.randint(0, 5))) for _ in range(size)] for _ in range(groups)
    ]
    expected = np.array(
        [[[nltk_bleu(a, b) * (i != j) for j, b in enumerate(g)] for i, a in enumerate(g)] for g in drawn]
    )
    matrices = matrices_of(drawn)
    assert (matrices == expected).all()
    assert (matrices.sum(-1).argmax(-1) == [np.argmax(np.sum(m.tolist(), -1)) for m in expected]).all()
    i, j = np.triu_indices(size, 1)
    self_bleus, _ = diversities(drawn)
    assert self_bleus == [np.mean(matrix[i, j].tolist()) for matrix in expected]


def test_matrices_of_single_texts_and_of_texts_without_words():
    assert matrices_of([["a b"], [""]]).tolist() == [[[0.0]], [[0.0]]]
    assert matrices_of([["", " "]]).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
    assert sentence_bleus([], []) == []
    with pytest.raises(InputError, match="one number of candidates"):
        matrices_of([["a"], ["a", "b"]])


def test_pairs_in_either_order_and_again_are_scored_each_its_own_way():
    outputs, references = ["a b c d e", "a b", "a b c d e", "a b", "e"], ["a b", "a b c d e"] * 2 + ["e"]
    expected = [nltk_bleu(*pair) for pair in zip(outputs, references, strict=True)]
    assert sentence_bleus(outputs, references) == expected
    assert expected[0] != expected[1]


def test_the_formula_by_hand():
    """Five words of six, with 3, 1, 0 and 0 matches: ln 5 / 10 and ln 5 / 20 take the place of the zeros."""
    [value] = smoothed_bleu(np.array([[5, 6]]), np.array([[3, 1, 0, 0]]))
    product = 3 / 5 * 1 / 4 * (np.log(5) / 10) / 3 * (np.log(5) / 20) / 2
    assert value == pytest.approx(np.exp(1 - 6 / 5) * product**0.25, abs=1e-12)


@pytest.mark.parametrize(
    ("evaluator", "options"), [(BleuEvaluator, BleuOptions()), (RougeLEvaluator, RougeLOptions())]
)
def test_pairs_of_outputs_are_cleaned_and_scored_as_samples_are(evaluator, options):
    marked, others = ["[CLS] a b c d [SEP] [PAD]"] * 2, ["a b d", "[CLS] a b c d [SEP]"]
    values = evaluator(options).score_pairs(marked, others)
    assert 0 < values[0] < 1
    assert values[1] == pytest.approx(1, abs=1e-12)
    samples = [Sample("0", "s", other, (text,)) for text, other in zip(marked, others, strict=True)]
    assert evaluator(options).evaluate(samples)[0].per_sample == tuple(values)
    with pytest.raises(InputError, match="2 outputs but 1"):
        evaluator(options).score_pairs(marked, ["a"])
