"""SARI in both forms: arithmetic by hand, values that their authors published, and laws."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core.text.evaluator import Sample
from dlmone.plugins.standard.options import SariOptions
from dlmone.plugins.standard.sari import (
    CorpusSariEvaluator,
    SariEvaluator,
    corpus_sari,
    sari_counts,
    sentence_sari,
)
from dlmone.plugins.standard.texts import split_words

WORDS = st.sampled_from(["a", "b", "c", "The", "the", "d"])
SENTENCES = st.lists(WORDS, max_size=10).map(" ".join)
FILLED = st.lists(WORDS, min_size=1, max_size=10).map(" ".join)

SPECIES = "About 95 species are currently accepted ."
KNOWN = (
    "About 95 species are currently known .",
    "About 95 species are now accepted .",
    "95 species are now accepted .",
)


def words(text):
    return split_words(text, "13a", lowercase=True)


def sentence(source, output, *references):
    """SARI of one sentence with any number of references, in percent."""
    return 100 * sentence_sari(words(source), words(output), [words(text) for text in references]).sari


def corpus(*rows):
    """Corpus SARI of rows (source, output, references...), in percent."""
    counts = [sari_counts(words(s), words(o), [words(r) for r in references]) for s, o, *references in rows]
    return 100 * corpus_sari(np.sum(np.array(counts, dtype=np.float64), axis=0)).sari


def scores(source, output, reference, **table):
    sample = Sample("0", source, reference, (output,))
    mean = {s.name: s.value for s in SariEvaluator(SariOptions(**table)).evaluate([sample])}
    [whole] = CorpusSariEvaluator(SariOptions(**table)).evaluate([sample])
    return mean | {whole.name: whole.value}


def test_both_forms_by_hand():
    # Source a b c d, output a b e, reference a b e f.
    #
    # n      added   wanted   kept   keepable   deleted      deletable
    # 1      e       e f      a b    a b        c d          c d
    # 2      be      be ef    ab     ab         bc cd        bc cd
    # 3      abe     abe bef  -      -          abc bcd      abc bcd
    # 4      -       abef     -      -          abcd         abcd
    #
    # Add: P = 1, R = 1/2, F1 = 2/3 for n = 1, 2, 3. For n = 4, R = 0, so F1 = 0. Mean 1/2, in both forms.
    # Keep: F1 = 1 for n = 1, 2. For n = 3, 4 there was nothing to keep: 1 in `evaluate`, 0 in EASSE.
    #   Mean 1 or 1/2.
    # Delete: all that was deleted had to be, and all that had to be was: 1, in both forms.
    # `evaluate`: (1/2 + 1 + 1) / 3 = 5/6. EASSE: (1/2 + 1/2 + 1) / 3 = 2/3.
    found = scores("a b c d", "a b e", "a b e f")
    assert found == pytest.approx(
        {"sari": 500 / 6, "sari_add": 50, "sari_keep": 100, "sari_delete": 100, "corpus_sari": 200 / 3}
    )


def test_repeated_words_by_hand():
    # Source a a a b, output a b b, reference a a b. Counts of each n-gram:
    #
    # n      kept       keepable    deleted       deletable    new    wanted
    # 1      a  b       a:2  b      a:2           a            -      -
    # 2      ab         aa  ab      aa:2          aa           bb     -
    # 3      -          aab         aaa  aab      aaa          abb    -
    # 4      -          -           aaab          aaab         -      -
    #
    # Keep, n = 1: P = 1, R = 2/3, F1 = 4/5. n = 2: P = 1, R = 1/2, F1 = 2/3. n = 3: R = 0, F1 = 0. n = 4:
    #   nothing to keep, 1 in `evaluate` and 0 in EASSE.
    # Delete in `evaluate`: what of the deleted is left after the reference took its own. n = 1: of a:2, the
    #   reference has a:2, P = 0. n = 2: of aa:2, it has aa, P = 1/2. n = 3: aaa left of aaa, none of aab,
    #   P = 1/2. n = 4: P = 1.
    # Delete in EASSE: what both deleted. n = 1, 2, 3: P = 1/2, R = 1, F1 = 2/3. n = 4: F1 = 1.
    # Add: for n = 2, 3 something new that nobody wanted: 0. For n = 1, 4 nothing: 1 in `evaluate`, 0 in
    #   EASSE.
    found = scores("a a a b", "a b b", "a a b")
    keep, delete, add = (4 / 5 + 2 / 3 + 0 + 1) / 4, (0 + 1 / 2 + 1 / 2 + 1) / 4, (1 + 0 + 0 + 1) / 4
    assert found["sari_keep"] == pytest.approx(100 * keep)
    assert found["sari_delete"] == pytest.approx(100 * delete)
    assert found["sari_add"] == pytest.approx(100 * add)
    easse = (4 / 5 + 2 / 3) / 4 + (2 / 3 + 2 / 3 + 2 / 3 + 1) / 4
    assert found["corpus_sari"] == pytest.approx(100 * easse / 3)


def test_the_examples_of_hugging_face():
    # The metric card of `evaluate`'s sari prints these two.
    assert sentence(SPECIES, "About 95 you now get in .", *KNOWN) == pytest.approx(26.953601953601954)
    assert sentence(SPECIES, SPECIES, SPECIES) == 100


def test_the_examples_of_easse():
    # Of its README, and of its issue 99: an output that is its only reference, and yet not 100.
    cat = ("The cat sat on the mat.", "The cat is on the mat.", "The cat sat.")
    assert corpus(
        ("About 95 species are currently accepted.", "About 95 you now get in.", *KNOWN),
        ("The cat perched on the mat.", "Cat on mat.", *cat),
    ) == pytest.approx(33.17472563619544)
    simple = "Shu Abe (born June 7 1984) is a Japanese football player."
    source = "Shu Abe (born June 7 1984) is a former Japanese football player."
    assert corpus((source, simple, simple)) == pytest.approx(91.66666666666667)
    assert sentence(source, simple, simple) == 100


@given(SENTENCES, SENTENCES, SENTENCES)
def test_parts_are_bounded_and_their_mean_is_the_score(source, output, reference):
    found = scores(source, output, reference)
    assert all(0 <= value <= 100 + 1e-9 for value in found.values())
    parts = [found[f"sari_{part}"] for part in ("add", "keep", "delete")]
    assert found["sari"] == pytest.approx(sum(parts) / 3)


@given(st.lists(WORDS, unique_by=str.lower).map(" ".join), SENTENCES)
def test_an_output_that_is_its_reference_scores_100(source, reference):
    assert scores(source, reference, reference)["sari"] == pytest.approx(100)


def test_dropping_a_repetition_is_never_right_in_the_form_of_evaluate():
    # Deleted a, once; the reference still has one a, which is taken from it: P = 0 for n = 1, else 1. Nothing
    # was added, and all was kept: (1 + 1 + 3/4) / 3. EASSE: keep 1/4, delete (1 + 1) / 4.
    found = scores("a a", "a", "a")
    assert found["sari"] == pytest.approx(100 * 11 / 12)
    assert found["corpus_sari"] == pytest.approx(100 * (1 / 4 + 1 / 2) / 3)


@given(FILLED, FILLED)
def test_a_copy_adds_nothing_and_deletes_nothing(source, reference):
    # Precision of deletions is that of nothing: 1 in `evaluate`, and F1 is 0 in EASSE.
    found = scores(source, source, reference)
    assert found["sari_delete"] == 100
    counts = np.array(sari_counts(words(source), words(source), [words(reference)]), dtype=np.float64)
    add, _, delete = corpus_sari(counts)
    assert (add, delete) == (0, 0)
    if not set(words(reference)) <= set(words(source)):
        assert found["sari_add"] <= 75


def test_a_copy_is_worse_than_the_wanted_edit_in_both_forms():
    source, reference = "the feline perched upon the mat today", "the cat sat on the mat today"
    copy, edit = scores(source, source, reference), scores(source, "the cat sat upon the mat", reference)
    assert copy["sari"] < edit["sari"]
    assert copy["corpus_sari"] < edit["corpus_sari"]


@given(st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_the_mean_form_is_the_mean_of_its_sentences(rows):
    samples = [Sample("x", s, r, (o,)) for s, o, r in rows]
    for score in SariEvaluator(SariOptions()).evaluate(samples):
        assert score.per_sample == tuple(scores(s, o, r)[score.name] for s, o, r in rows)


@given(FILLED, FILLED, FILLED)
def test_corpus_form_by_sets_of_occurrences(source, output, reference):
    """Each occurrence of an n-gram as an item of its own: kept and deleted are then plain set operations."""

    def items(text, n):
        tokens, seen = words(text), Counter()
        found = set()
        for i in range(len(tokens) - n + 1):
            gram = tuple(tokens[i : i + n])
            seen[gram] += 1
            found.add((gram, seen[gram]))
        return found

    def f1(ours, theirs):
        return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 0

    total = 0
    for n in range(1, 5):
        s, o, r = items(source, n), items(output, n), items(reference, n)
        types = [{gram for gram, _ in side} for side in (s, o, r)]
        # The last occurrences are the deleted ones: item k goes where a side has fewer than k.
        total += f1(types[1] - types[0], types[2] - types[0]) + f1(s & o, s & r) + f1(s - o, s - r)
    assert corpus((source, output, reference)) == pytest.approx(100 * total / 12)


def test_case_and_tokeniser_are_options():
    assert scores("A b.", "a b .", "a b .")["sari"] == 100
    assert scores("A b.", "a b.", "a b .", tokenize="none")["sari"] < 100
    assert scores("A b.", "a b.", "A b.", lowercase=False)["sari"] < 100


@pytest.mark.parametrize(
    ("output", "add", "keep", "delete"),
    [
        # An empty text has one word, the empty one: a wrong addition, so P = 0 and F1 = 0 for n = 1. For
        # n = 2, "a c" was wanted and is missing: 0. For n = 3, 4 nothing was wanted: 1. Keep: "a" is missing,
        # 0; nothing longer was to be kept: 1. Delete: b rightly, a wrongly, 1/2; "a b" rightly, 1; then 1.
        ("", 1 / 2, 3 / 4, 7 / 8),
        # One word, kept rightly. Add: c is missing, P = 1, R = 0: 0; "a c" too: 0; then 1.
        ("a", 1 / 2, 1, 1),
    ],
)
def test_empty_and_one_word_outputs(output, add, keep, delete):
    found = scores("a b", output, "a c")
    assert found["sari_add"] == pytest.approx(100 * add)
    assert found["sari_keep"] == pytest.approx(100 * keep)
    assert found["sari_delete"] == pytest.approx(100 * delete)


def test_nothing_at_all_has_a_value():
    assert scores("", "", "") == {
        "sari": 100,
        "sari_add": 100,
        "sari_keep": 100,
        "sari_delete": 100,
        "corpus_sari": 0,
    }
