"""Scores of text without a source: by hand, by another library, and what collapsed text gets."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from pydantic import ValidationError

from dlmone.core import Evaluator, Sample
from dlmone.evaluation.confidence import Resampling, Sums
from dlmone.plugins.unconditional.distance import NgramDistanceEvaluator, split
from dlmone.plugins.unconditional.options import NgramDistanceOptions, RepetitionOptions
from dlmone.plugins.unconditional.repetition import RepetitionEvaluator
from dlmone.plugins.unconditional.scoring import words_of
from dlmone.testing import check_evaluator

REPETITION = RepetitionEvaluator(RepetitionOptions())
DISTANCE = NgramDistanceEvaluator(NgramDistanceOptions())
WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "by", "mat", "road", "home", "and", "then", "was"]


def drawn(seed: int, size: int, words: int = 12) -> list[str]:
    """Texts of words of falling frequency."""
    generator = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(WORDS) + 1)
    return [" ".join(generator.choice(WORDS, words, p=shares / shares.sum())) for _ in range(size)]


def samples(texts: list[str], references: list[str]) -> list[Sample]:
    return [
        Sample(str(row), "", reference, (text,))
        for row, (text, reference) in enumerate(zip(texts, references, strict=True))
    ]


def values(evaluator: Evaluator, found: list[Sample]) -> dict[str, float]:
    return {score.name: score.value for score in evaluator.evaluate(found)}


@pytest.mark.parametrize("evaluator", [REPETITION, DISTANCE], ids=["repetition", "distance"])
def test_the_contracts(evaluator: Evaluator) -> None:
    check_evaluator(evaluator, samples(["", "the cat sat", *drawn(0, 5)], drawn(1, 7)))


def test_words_are_lower_case_with_marks_apart_and_no_markers() -> None:
    assert words_of("[CLS] It's fine. [SEP] <|endoftext|>") == ["it", "'", "s", "fine", "."]


def test_repetition_by_hand() -> None:
    texts = ["a b a b a b", "the cat sat", "The cat sat", ""]
    found = values(REPETITION, samples(texts, texts))
    assert found["unique_rate"] == pytest.approx(3 / 4)
    # ab ba ab ba ab: three of five again; abab baba abab: one of three.
    assert found["repeated_2"] == pytest.approx(3 / 5 / 4)
    assert found["repeated_4"] == pytest.approx(1 / 3 / 4)
    assert found["word_entropy"] == pytest.approx((log(2) + 2 * log(3)) / 4)


def test_one_output_for_all_is_unique_once() -> None:
    found = REPETITION.evaluate(samples(["the cat"] * 50, ["x"] * 50))
    unique = found[0]
    assert (unique.name, unique.value) == ("unique_rate", pytest.approx(1 / 50))
    assert "|outputs:50|" in unique.signature


def test_the_distance_by_hand() -> None:
    found = samples(drawn(0, 40), drawn(1, 40))
    ours, theirs = split([sample.id for sample in found])
    wanted = 0.0
    for one, other in ((ours, theirs), (theirs, ours)):
        counts = np.zeros((2, len(WORDS)))
        for side, texts in enumerate(
            ([found[i].candidates[0] for i in one], [found[i].reference for i in other])
        ):
            for word in " ".join(texts).split():
                counts[side, WORDS.index(word)] += 1
        p, q = counts / counts.sum(1, keepdims=True)
        wanted += (np.nansum(p * np.log2(2 * p / (p + q))) + np.nansum(q * np.log2(2 * q / (p + q)))) / 4
    assert values(DISTANCE, found)["ngram_distance_1"] == pytest.approx(wanted)


def test_held_out_text_is_nearest_and_collapsed_or_shuffled_text_is_not() -> None:
    references = drawn(1, 200)
    human = values(DISTANCE, samples(references, references))
    like = values(DISTANCE, samples(drawn(2, 200), references))
    collapsed = values(DISTANCE, samples(references[:1] * 200, references))
    other = values(DISTANCE, samples(["zebra"] * 200, references))
    empty = values(DISTANCE, samples([""] * 200, references))
    for name in human:
        # As much other text of one distribution is as far as the references are from one another.
        assert human[name] / 2 < like[name] < 2 * human[name]
        assert collapsed[name] > 2 * human[name]
    assert other["ngram_distance_1"] == empty["ngram_distance_1"] == pytest.approx(1)


def test_its_interval_covers_what_other_samples_give() -> None:
    """The bootstrap of a sample's parts against the spread over 200 draws of other outputs and references."""
    sized = [
        DISTANCE.evaluate(samples(drawn(seed, 60), drawn(1000 + seed, 60)[::-1]))[1] for seed in range(200)
    ]
    spread = float(np.std([score.value for score in sized]))
    halves = []
    for score in sized[:20]:
        sums = Sums.of_mean(score.per_sample or ())
        [(low, high)] = Resampling(300).intervals([sums])
        halves.append((high - low) / 2 / 1.96)
    assert np.mean(halves) == pytest.approx(spread, rel=0.35)


def test_a_single_sample_is_scored() -> None:
    [one] = samples(["the cat"], ["the cat"])
    assert values(DISTANCE, [one])["ngram_distance_1"] == 0
    assert values(DISTANCE, [replace(one, candidates=("dog",))])["ngram_distance_1"] == 1


def test_options_refuse_what_they_do_not_know() -> None:
    for model in (RepetitionOptions, NgramDistanceOptions):
        for wrong in ({"orders": []}, {"orders": [0]}, {"order": 2}):
            with pytest.raises(ValidationError):
                model(**wrong)
