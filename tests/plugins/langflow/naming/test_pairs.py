"""plugins/langflow/naming/pairs.py: counted pairs, and Kneser and Ney's probabilities."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlmone.plugins.langflow.naming.pairs import TokenPairs

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


def searched(pairs: TokenPairs, first: Tensor, second: Tensor) -> Tensor:
    """The same probabilities, with PyTorch's own search among all pairs, and by the definition for each."""
    tokens, kept = len(pairs.starts) - 1, int(pairs.starts[-1])
    firsts_P = torch.repeat_interleave(torch.arange(tokens), pairs.starts.diff())
    keys_P, counts_P = firsts_P * tokens + pairs.seconds[:kept], pairs.counts[:kept].float()
    key = first * tokens + second
    place = torch.searchsorted(keys_P, key).clamp(max=kept - 1)
    count = torch.where(keys_P[place] == key, counts_P[place], 0.0)
    total = torch.zeros(tokens).index_add_(0, firsts_P, counts_P)[first]
    before_V = 0.1 + torch.bincount(pairs.seconds[:kept], minlength=tokens)
    lower = (before_V / before_V.sum())[second]
    own = (count - 0.75).clamp(min=0) + 0.75 * pairs.starts.diff()[first] * lower
    return torch.where(total > 0, own / total.clamp(min=1), lower).log()


@pytest.mark.parametrize("tokens", [2, 3, 40, 46_341, 70_000])
@pytest.mark.parametrize("kept", [1, 2, 63, 64, 65, 900])
def test_pairs_are_found_as_pytorchs_search_finds_them(tokens: int, kept: int) -> None:
    """Counted pairs and others, after tokens that begin none; from 46,341 tokens on keys have 64 bits."""
    generator = torch.Generator().manual_seed(tokens + kept)
    ids_V = torch.randint(tokens, (40,), generator=generator)
    ids_V[:2] = torch.tensor([0, tokens - 1])
    ids_V[torch.randint(2, 40, (3,), generator=generator)] = 0
    pairs = TokenPairs(tokens, kept)
    pairs.count([ids_V[torch.randint(40, (30, 9), generator=generator)]])
    other_V = torch.randint(tokens, (10,), generator=generator)
    every = torch.cat([ids_V, other_V])
    first, second = every[None, :, None], every[None, None, :]
    assert torch.equal(pairs.log_probability(first, second), searched(pairs, first, second))


def test_loaded_counts_give_their_probabilities_and_no_further_names() -> None:
    rows = torch.randint(VOCABULARY, (30, 5), generator=torch.Generator().manual_seed(0)).tolist()
    pairs, loaded = counted(rows), TokenPairs(VOCABULARY, 40)
    before = table(loaded)
    weights = pairs.state_dict()
    assert list(weights) == ["starts", "seconds", "counts"]
    loaded.load_state_dict(weights)
    assert torch.equal(table(loaded), table(pairs))
    assert not torch.equal(before, table(pairs))
    # Not counted or loaded yet, each token is as likely.
    torch.testing.assert_close(before, torch.full_like(before, -math.log(VOCABULARY)))
