"""plugins/langflow/naming/triples.py: no triple that was kept is unknown, and few others are known."""

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core import InputError
from dlmone.plugins.langflow.naming.triples import BITS, SET, TokenTriples

VOCABULARY = 6
rows_of_tokens = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=5, max_size=5), min_size=1, max_size=8
)


def counted(rows: list[list[int]], kept: int, at_once: int = 3) -> TokenTriples:
    triples = TokenTriples(VOCABULARY, kept)
    triples.count(torch.tensor(rows[start : start + at_once]) for start in range(0, len(rows), at_once))
    return triples


@given(rows_of_tokens, st.integers(1, 60))
def test_the_most_frequent_are_known(rows: list[list[int]], kept: int) -> None:
    seen = Counter(triple for row in rows for triple in zip(row, row[1:], row[2:], strict=False))
    ordered = sorted(seen, key=lambda triple: (-seen[triple], triple))[:kept]
    assert counted(rows, kept).known(*torch.tensor(ordered).T).all()


def test_a_rarer_one_is_not_kept() -> None:
    triples = counted([[1, 2, 3], [1, 2, 3], [3, 2, 1]], kept=1)
    assert triples.known(*map(torch.tensor, (1, 2, 3)))
    assert not triples.known(*map(torch.tensor, (3, 2, 1)))


def test_they_are_saved() -> None:
    saved, loaded = counted([[1, 2, 3, 4]], kept=9), TokenTriples(VOCABULARY, 9)
    loaded.load_state_dict(saved.state_dict())
    every = torch.cartesian_prod(*[torch.arange(VOCABULARY)] * 3).T
    assert torch.equal(loaded.known(*every), saved.known(*every))
    assert loaded.known(*every).any()


def test_a_vocabulary_that_is_too_large_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^triples: they are of vocabularies up to 2,097,152 tokens, not 2,097,153$"
    ):
        TokenTriples(2**21 + 1, 1)


def test_others_are_unknown_but_for_one_in_eighty() -> None:
    """With k bits set of each of n triples in m bits, (1 − e^(−kn/m))^k of the others have all theirs set."""
    generator = torch.Generator().manual_seed(0)
    tokens, kept = 1000, 20_000
    rows = torch.randint(tokens, (100, kept // 100 + 2), generator=generator)
    triples = TokenTriples(tokens, kept)
    triples.count([rows])
    others_N3 = torch.randint(tokens, (200_000, 3), generator=generator)
    share = triples.known(*others_N3.T).float().mean()
    wanted = (1 - torch.tensor(-SET / BITS).exp()) ** SET
    assert float(share) == pytest.approx(float(wanted), abs=0.001)
    assert 1 / 90 < wanted < 1 / 80


def test_every_order_of_three_tokens_is_another_triple() -> None:
    triples = counted([[1, 2, 3]], kept=100)
    known = [triple for triple in product(range(4), repeat=3) if triples.known(*map(torch.tensor, triple))]
    assert known == [(1, 2, 3)]


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_the_filter_does_not_depend_on_how_rows_come(at_once: int) -> None:
    rows = torch.randint(VOCABULARY, (30, 5), generator=torch.Generator().manual_seed(0)).tolist()
    assert torch.equal(counted(rows, 12, at_once).bits, counted(rows, 12, 7).bits)


def test_a_large_vocabularys_triples_are_told_apart() -> None:
    tokens = 2**21
    triples = TokenTriples(tokens, 50)
    triples.count([torch.tensor([[tokens - 1, tokens - 2, tokens - 3, 0]])])
    assert triples.known(
        *torch.tensor([[tokens - 1, tokens - 2, tokens - 3], [tokens - 2, tokens - 3, 0]]).T
    ).all()
    assert not triples.known(*map(torch.tensor, (tokens - 1, tokens - 3, tokens - 2)))
