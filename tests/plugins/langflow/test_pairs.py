"""plugins/langflow/pairs.py: counted pairs, and Kneser and Ney's probabilities."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlmone.plugins.langflow.pairs import TokenPairs

VOCABULARY = 6
Rows = list[list[int]]
rows_of_tokens = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=5, max_size=5), min_size=1, max_size=8
)


def counted(rows: Rows, kept: int = 40, at_once: int = 3) -> TokenPairs:
    pairs = TokenPairs(VOCABULARY, kept)
    pairs.count(torch.tensor(rows[start : start + at_once]) for start in range(0, len(rows), at_once))
    return pairs


def table(pairs: TokenPairs) -> Tensor:
    every = torch.arange(VOCABULARY)
    return pairs.log_probability(every[:, None], every[None, :])


def by_hand(seen: Counter[tuple[int, int]], first: int, second: int) -> float:
    """The definition, in float64."""
    before = sum(1 for _, b in seen if b == second) + 0.1
    lower = before / (len(seen) + 0.1 * VOCABULARY)
    total = sum(count for (a, _), count in seen.items() if a == first)
    if not total:
        return math.log(lower)
    kinds = sum(1 for a, _ in seen if a == first)
    return math.log((max(seen[first, second] - 0.75, 0) + 0.75 * kinds * lower) / total)


@given(rows_of_tokens)
def test_probabilities_are_interpolated_kneser_ney(rows: Rows) -> None:
    seen = Counter(pair for row in rows for pair in pairwise(row))
    wanted = [[by_hand(seen, a, b) for b in range(VOCABULARY)] for a in range(VOCABULARY)]
    torch.testing.assert_close(table(counted(rows)), torch.tensor(wanted), rtol=1e-5, atol=1e-5)


@given(rows_of_tokens, st.integers(1, 40))
def test_they_sum_to_one_after_every_token(rows: Rows, kept: int) -> None:
    sums_V = table(counted(rows, kept)).exp().sum(1)
    torch.testing.assert_close(sums_V, torch.ones(VOCABULARY), rtol=0, atol=1e-5)


@given(rows_of_tokens, st.integers(1, 40))
def test_the_most_frequent_pairs_are_kept(rows: Rows, kept: int) -> None:
    seen = Counter(pair for row in rows for pair in pairwise(row))
    ordered = sorted(seen, key=lambda pair: (-seen[pair], pair))[:kept]
    pairs = counted(rows, kept)
    firsts_P = torch.repeat_interleave(torch.arange(VOCABULARY), pairs.starts.diff())
    found = zip(firsts_P.tolist(), pairs.seconds.tolist(), pairs.counts.tolist(), strict=False)
    assert {(a, b): count for a, b, count in found} == {pair: seen[pair] for pair in ordered}


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_counts_do_not_depend_on_how_rows_come(at_once: int) -> None:
    rows = torch.randint(VOCABULARY, (30, 5), generator=torch.Generator().manual_seed(0)).tolist()
    assert torch.equal(table(counted(rows, 12, at_once)), table(counted(rows, 12, 7)))
