"""Counts of overlap: the Triton kernels, the CPU's path and plain Python agree.

The kernels run on the GPU where there is one, and otherwise under Triton's interpreter.
"""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlmone.core import accelerator
from dlmone.core.errors import InputError, MissingError
from dlmone.core.text.evaluator import Sample
from dlmone.plugins.metrics import lcs, ngrams
from dlmone.plugins.metrics.lcs import lcs_lengths
from dlmone.plugins.metrics.ngrams import NO_RANK, clipped_matches, distinct, ranks
from dlmone.plugins.metrics.tokens import PAD, buckets, encode, encode_groups, encode_pairs
from dlmone.registry import Registry
from dlmone.registry.fields import device as device_field
from dlmone.registry.schema import EvaluatorSlot

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

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
    assert (clipped_matches(sequences, pairs, DEVICE) == clipped_matches(sequences, pairs)).all()
    assert (lcs_lengths(sequences, pairs, DEVICE) == lcs_lengths(sequences, pairs)).all()
    pooled = sequences.pooled(len(texts))
    for there, here in zip(distinct(pooled, DEVICE), distinct(pooled), strict=True):
        assert (there == here).all()


def test_the_kernels_take_a_block_of_pairs_that_is_not_full():
    pytest.importorskip("triton")
    sequences = encode(["abcab", "", "bab" * 12])
    pairs = np.array([(i % 3, i // 3 % 3) for i in range(19)])
    assert (lcs_lengths(sequences, pairs, DEVICE) == lcs_lengths(sequences, pairs)).all()


def test_nothing_to_count():
    pytest.importorskip("triton")
    nobody = np.zeros((0, 2), np.int64)
    for texts in ([], ["ab"]):
        sequences = encode(texts)
        for device in (None, DEVICE):
            assert clipped_matches(sequences, nobody, device).shape == (0, 4)
            assert lcs_lengths(sequences, nobody, device).shape == (0,)
            assert distinct(sequences, device)[0].shape == (4, len(texts))


@pytest.mark.parametrize("use", ["bleu", "rouge_l", "diversity"])
def test_an_evaluators_device_is_where_it_counts(monkeypatch, use):
    """Also where it compares outputs for mbr; with the numbers of the CPU."""
    pytest.importorskip("triton")
    registry = Registry.discover()
    monkeypatch.setattr(accelerator, "runs_kernels", lambda device: True)
    monkeypatch.setattr(device_field, "resolve_device", lambda name: DEVICE)
    there, here = (
        registry.create("evaluators", EvaluatorSlot(use=use, device=name)) for name in ("auto", "cpu")
    )
    samples = [
        Sample("0", "", "a b a c d", ("a b c d a", "a b a c", "d d")),
        Sample("1", "", "e", ("e", "", "e f")),
    ]
    copied = []
    for module in (ngrams, lcs):
        copy = partial(counted, copied, module.on_device)
        monkeypatch.setattr(module, "on_device", copy)
    assert [score.per_sample for score in there.evaluate(samples)] == [
        score.per_sample for score in here.evaluate(samples)
    ]
    assert set(copied) == {DEVICE}
    if use != "diversity":
        copied.clear()
        pairs = ["a b", "b a c"], ["b a c", "a b"]
        assert there.score_pairs(*pairs) == here.score_pairs(*pairs)
        assert copied


def counted(copied, copy, device, *arrays):
    copied.append(device)
    return copy(device, *arrays)


@pytest.mark.parametrize("use", ["bleu", "rouge_l", "diversity", "bertscore"])
def test_devices_have_names(use):
    with pytest.raises(InputError, match=r"m\.device: there is no device 'tpu'; expected auto, cpu"):
        Registry.discover().create("evaluators", EvaluatorSlot(use=use, device="tpu"), "m")


@pytest.mark.parametrize("use", ["bleu", "rouge_l", "diversity"])
def test_where_a_device_is_not_there_the_cpu_counts(monkeypatch, use):
    registry = Registry.discover()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    samples = [Sample("0", "", "a b a c d", ("a b c d a", "a b a c", "d d"))]
    there, here = (
        registry.create("evaluators", EvaluatorSlot(use=use, device=name)) for name in ("cuda:1", "cpu")
    )
    assert there.evaluate(samples) == here.evaluate(samples)


def test_an_encoder_needs_the_device_that_it_is_given(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    metric = Registry.discover().create("evaluators", EvaluatorSlot(use="bertscore", device="cuda:1"))
    with pytest.raises(MissingError, match=r"device 'cuda:1' was asked for, but no CUDA device is available"):
        metric.evaluate([Sample("0", "", "a", ("a",))])


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
