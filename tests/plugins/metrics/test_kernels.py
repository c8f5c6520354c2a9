"""Counts of overlap: the Triton kernels, the CPU's path and plain Python agree.

The kernels run on the GPU where there is one, and otherwise under Triton's interpreter.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlmone.core.errors import InputError
from dlmone.plugins.metrics.lcs import lcs_lengths
from dlmone.plugins.metrics.ngrams import NO_RANK, clipped_matches, distinct, ranks
from dlmone.plugins.metrics.tokens import PAD, buckets, encode, encode_groups, encode_pairs, on_device

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

ORDERS = range(1, 5)
TEXTS = st.lists(st.text("ab", max_size=12), min_size=2, max_size=6)
#: Lengths around a tile's and a word's edges, beyond several of them, and beyond what a byte can count.
EDGES = ["", "a", "ab" * 16, "ab" * 16 + "b", "ba" * 40, "aab" * 33, "a" * 300, "a" * 299 + "b"]


def grams(text, n):
    return [text[i : i + n] for i in range(len(text) - n + 1)]


def matches_by_counting(first, second):
    return [(Counter(grams(first, n)) & Counter(grams(second, n))).total() for n in ORDERS]


def lcs_by_table(first, second):
    row = [0] * (len(second) + 1)
    for token in first:
        above, row = row, [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if token == other else max(above[j + 1], row[j]))
    return row[-1]


def ranks_by_counting(text):
    columns = [
        [grams(text, n)[:i].count(text[i : i + n]) if i + n <= len(text) else NO_RANK for n in ORDERS]
        for i in range(len(text))
    ]
    return np.array([*columns, [NO_RANK] * 4]).T


def all_pairs(texts):
    return np.array([(i, j) for i in range(len(texts)) for j in range(len(texts))])


@given(TEXTS)
@example(EDGES)
def test_counts_are_those_of_plain_python(texts):
    sequences, pairs = encode(texts), all_pairs(texts)
    expected = [matches_by_counting(texts[i], texts[j]) for i, j in pairs]
    assert clipped_matches(sequences, pairs).tolist() == expected
    assert lcs_lengths(sequences, pairs).tolist() == [lcs_by_table(texts[i], texts[j]) for i, j in pairs]
    assert (ranks(sequences) == np.concatenate([*map(ranks_by_counting, texts)], axis=1)).all()


@given(st.integers(1, 3), st.lists(st.text("ab", max_size=6), min_size=6, max_size=6))
def test_distinct_ngrams_of_a_group_run_over_no_edge(size, texts):
    different, total = distinct(encode(texts).pooled(size))
    groups = [texts[start : start + size] for start in range(0, len(texts), size)]
    pools = [[[gram for text in group for gram in grams(text, n)] for group in groups] for n in ORDERS]
    assert different.tolist() == [[len(set(pool)) for pool in row] for row in pools]
    assert total.tolist() == [[len(pool) for pool in row] for row in pools]


@settings(max_examples=10, deadline=None)
@given(TEXTS.map(lambda texts: texts[:3]))
@example(["", "ab" * 16 + "b", "ba" * 35])
@example(["", ""])
def test_the_kernels_are_the_cpus_path(texts):
    pytest.importorskip("triton")
    sequences, pairs = encode(texts), all_pairs(texts)
    copies, device_pairs = on_device(sequences, DEVICE), torch.from_numpy(pairs).to(DEVICE)
    assert (clipped_matches(copies, device_pairs).cpu().numpy() == clipped_matches(sequences, pairs)).all()
    assert (lcs_lengths(copies, device_pairs).cpu().numpy() == lcs_lengths(sequences, pairs)).all()
    size = len(texts)
    for there, here in zip(distinct(copies.pooled(size)), distinct(sequences.pooled(size)), strict=True):
        assert (there.cpu().numpy() == here).all()


def test_the_kernels_take_a_block_of_pairs_that_is_not_full():
    pytest.importorskip("triton")
    sequences = encode(["abcab", "", "bab" * 12])
    pairs = np.array([(i % 3, i // 3 % 3) for i in range(19)])
    there = lcs_lengths(on_device(sequences, DEVICE), torch.from_numpy(pairs).to(DEVICE))
    assert (there.cpu().numpy() == lcs_lengths(sequences, pairs)).all()


def test_nothing_to_count():
    pytest.importorskip("triton")
    nobody = np.zeros((0, 2), np.int64)
    for texts in ([], ["ab"]):
        sequences = encode(texts)
        there, nowhere = on_device(sequences, DEVICE), torch.from_numpy(nobody).to(DEVICE)
        assert clipped_matches(sequences, nobody).shape == clipped_matches(there, nowhere).shape == (0, 4)
        assert lcs_lengths(sequences, nobody).shape == lcs_lengths(there, nowhere).shape == (0,)
        assert distinct(sequences)[0].shape == distinct(there)[0].shape == (4, len(texts))


@given(st.lists(st.lists(st.sampled_from(["a", "b", "", "é"]), max_size=4), max_size=6))
def test_ids_stand_for_tokens_and_pad_for_ends(texts):
    sequences = encode(texts)
    spans = [slice(s, s + n) for s, n in zip(sequences.starts_S, sequences.lengths_S, strict=True)]
    assert [len(sequences.tokens_T[span]) for span in spans] == [*map(len, texts)]
    assert all(sequences.tokens_T[span.stop] == PAD for span in spans)
    token_of = {
        number: token
        for span, text in zip(spans, texts, strict=True)
        for number, token in zip(sequences.tokens_T[span].tolist(), text, strict=True)
    }
    assert PAD not in token_of
    assert [[token_of[number] for number in sequences.tokens_T[span].tolist()] for span in spans] == texts


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2), max_size=50), st.integers(1, 200))
def test_buckets_hold_each_once_with_those_alike(lengths, cells):
    sides = np.array(lengths, np.int64).reshape(-1, 2).T
    groups = list(buckets(*sides, cells=cells))
    assert sorted(np.concatenate([[], *groups]).astype(int).tolist()) == list(range(len(lengths)))
    for group in groups:
        assert all(np.ptp(side[group]) < 4 for side in sides)
        assert len(group) == 1 or len(group) * sum(side[group].max() for side in sides) <= cells


def test_what_does_not_pair_is_refused():
    with pytest.raises(InputError, match="2 outputs but 1 references"):
        encode_pairs(["a", "b"], ["a"], str.split)
    with pytest.raises(InputError, match=r"groups of one size; these groups have \[1, 2\]"):
        encode_groups([["a"], ["a", "b"]], str.split)
