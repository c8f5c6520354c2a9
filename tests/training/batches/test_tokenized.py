"""The training split, tokenised once: the batches that collating gives, and no example collated twice."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core import Batch, Example, InputError, PluginError
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES, ToySpace
from dlmone.training.batches.tokenized import TokenizedExamples

PAIRS = [Example(str(i), "how do i " + "learn " * i + "?", "what is it " * (4 - i)) for i in range(4)]
OPTIONS = DiffuSeqOptions(
    seq_len=16, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
)
SPACES = [(toy_teacher().space, EXAMPLES), (DiffuSeqTeacher.build(OPTIONS, PAIRS).space, PAIRS)]


def equal(a: Batch, b: Batch) -> bool:
    tensors = ((a.tokens_BL, b.tokens_BL), (a.target_BL, b.target_BL))
    same = all(torch.equal(x, y) and x.dtype == y.dtype for x, y in tensors)
    return same and (type(a), a.ids) == (type(b), b.ids)


@pytest.mark.parametrize(("space", "examples"), SPACES)
@given(data=st.data())
def test_batches_are_those_of_collate_bit_for_bit(space, examples, data) -> None:
    tokenized = TokenizedExamples(space, examples)
    batches = st.lists(st.lists(st.integers(0, len(examples) - 1), min_size=1, max_size=9), max_size=5)
    for rows in data.draw(batches):
        assert equal(tokenized.batch(rows), space.collate([examples[row] for row in rows]))


class Counted(ToySpace):
    """Notes which examples it collates, and can pad to the longest of a batch."""

    shorter = 0

    def collate(self, examples: Sequence[Example]) -> Batch:
        self.seen = [*getattr(self, "seen", []), *(example.id for example in examples)]
        batch = super().collate(examples)
        length = batch.tokens_BL.shape[1] - self.shorter
        return Batch(batch.ids, batch.tokens_BL[:, :length], batch.target_BL[:, :length])


def counted() -> Counted:
    space = toy_teacher().space
    space.__class__ = Counted
    return space


def test_an_example_is_tokenised_once_and_only_when_it_is_drawn() -> None:
    space = counted()
    tokenized = TokenizedExamples(space, EXAMPLES)
    for rows in ([2, 0, 2], [0, 1], [1, 2, 0]):
        tokenized.batch(rows)
    assert sorted(space.seen) == sorted(EXAMPLES[row].id for row in range(3))


def test_rows_of_several_lengths_are_refused() -> None:
    space = counted()
    tokenized = TokenizedExamples(space, EXAMPLES)
    tokenized.batch([0])
    space.shorter = 1
    with pytest.raises(PluginError, match=r"Counted.collate\(\) gave rows of \d+ and of \d+ tokens"):
        tokenized.batch([1])


def test_an_example_that_does_not_fit_is_named() -> None:
    long = Example("too-long", "how " * 99, "what")
    with pytest.raises(InputError, match="too-long"):
        TokenizedExamples(SPACES[0][0], [*EXAMPLES, long]).batch([0, len(EXAMPLES)])
