"""BERTScore's greedy matching: the CPU's path and the Triton kernel against the definition, pair by pair.

The kernel runs on the GPU where there is one, and otherwise under Triton's interpreter.
"""

from dataclasses import fields

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlmone.plugins.metrics import greedy
from dlmone.plugins.metrics.greedy import Embedded, greedy_f1, matched_means

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=5)
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])


def sentences(lengths, width, seed, format=torch.float32):
    """Random states; the first and the last token of a sentence do not count, as [CLS] and [SEP] do not."""
    generator = torch.Generator().manual_seed(seed)
    lengths_S = torch.tensor(lengths)
    ends_S = lengths_S.cumsum(0)
    states_TD = torch.randn(int(lengths_S.sum()), width, generator=generator)
    weights_T = torch.ones(len(states_TD))
    weights_T[(ends_S - lengths_S)[lengths_S > 0]] = 0
    weights_T[ends_S[lengths_S > 0] - 1] = 0
    states_TD = (states_TD / states_TD.norm(dim=1, keepdim=True)).to(format)
    return Embedded(states_TD, weights_T, ends_S - lengths_S, lengths_S)


def all_pairs(count):
    return torch.cartesian_prod(torch.arange(count), torch.arange(count)).view(-1, 2)


def no_lowest(pairs_P2):
    return torch.full(pairs_P2.shape, -torch.inf)


def by_definition(embedded, pairs_P2):
    """Precision, recall and F1 of each pair, in float64, one similarity at a time."""
    parts = embedded.lengths_S.tolist()
    states, weights = (values.double().split(parts) for values in (embedded.states_TD, embedded.weights_T))
    rows = []
    for candidate, reference in pairs_P2.tolist():
        if not weights[candidate].sum() or not weights[reference].sum():
            rows.append((0.0, 0.0, 0.0))
            continue
        similarity = states[candidate] @ states[reference].T
        p = (similarity.amax(1) * weights[candidate]).sum() / weights[candidate].sum()
        r = (similarity.amax(0) * weights[reference]).sum() / weights[reference].sum()
        rows.append((float(p), float(r), float(2 * p * r / (p + r))))
    return torch.tensor(rows)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=LENGTHS, width=st.integers(1, 20), seed=st.integers(0, 2**32), format=FORMATS)
def test_matching_is_that_of_the_definition_in_tiles_of_any_size(monkeypatch, lengths, width, seed, format):
    embedded, pairs_P2 = sentences(lengths, width, seed, format), all_pairs(len(lengths))
    expected_P3 = by_definition(embedded, pairs_P2)
    # Near p = −r the ratio magnifies float32's error: what is matched is compared where that is so.
    firm_P = (expected_P3[:, :2].sum(1).abs() > 0.1) | (expected_P3 == 0).all(1)
    for gathered in (1, 200, 1 << 22):
        monkeypatch.setattr(greedy, "_GATHERED", gathered)
        found_P = greedy_f1(embedded, pairs_P2, no_lowest(pairs_P2))
        torch.testing.assert_close(found_P[firm_P], expected_P3[firm_P, 2], atol=1e-4, rtol=1e-4)
    full_P = (embedded.lengths_S > 2)[pairs_P2].all(1)
    means_P2 = matched_means(embedded, pairs_P2[full_P], no_lowest(pairs_P2[full_P]))
    torch.testing.assert_close(means_P2, expected_P3[full_P, :2], atol=1e-5, rtol=0)


@settings(max_examples=8, deadline=None)
@given(
    lengths=st.lists(st.integers(3, 12), min_size=1, max_size=2),
    width=st.integers(1, 20),
    seed=st.integers(0, 2**32),
    format=FORMATS,
)
@example(lengths=[33, 70], width=80, seed=0, format=torch.float32)
@example(lengths=[32, 3], width=64, seed=1, format=torch.bfloat16)
def test_the_kernel_matches_as_the_cpu_does(lengths, width, seed, format):
    pytest.importorskip("triton")
    from dlmone.plugins.metrics.kernels.greedy import matched_means as kernel

    embedded, pairs_P2 = sentences(lengths, width, seed, format), all_pairs(len(lengths))
    there = Embedded(*(getattr(embedded, field.name).to(DEVICE) for field in fields(Embedded)))
    lowest_P2 = torch.where(torch.rand(pairs_P2.shape) < 0.5, 0.0, -torch.inf)
    means_P2 = kernel(there, pairs_P2.to(DEVICE), lowest_P2.to(DEVICE)).cpu()
    torch.testing.assert_close(means_P2, matched_means(embedded, pairs_P2, lowest_P2), atol=1e-5, rtol=0)
    assert kernel(there, pairs_P2[:0].to(DEVICE), lowest_P2[:0].to(DEVICE)).shape == (0, 2)


def test_no_pairs():
    pairs_P2 = torch.empty(0, 2, dtype=torch.int64)
    assert greedy_f1(sentences([4], 8, 0), pairs_P2, no_lowest(pairs_P2)).shape == (0,)
