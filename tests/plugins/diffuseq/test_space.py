"""plugins/diffuseq/space.py: official input preparation, rounding, logits and text."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from dlmone.core import Batch, Example, InputError
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.space import DiffuSeqSpace, merge
from dlmone.plugins.tokenizers.words import words

DATA = Path(__file__).parents[2] / "data" / "diffuseq"
SQRT = discrete_schedule("sqrt", 2000)
WORDS = Tokenizer(words(["how do i learn the guitar ? it 's , well : a b c d e f g h i j k l"]))


def space_of(vocab_size: int, hidden_dim: int, seq_len: int = 24) -> DiffuSeqSpace:
    return DiffuSeqSpace(WORDS, SQRT, seq_len=seq_len, hidden_dim=hidden_dim, vocab_size=vocab_size)


@pytest.fixture(scope="module")
def official() -> DiffuSeqSpace:
    weights = load_file(DATA / "small_model.safetensors")
    space = space_of(200, 16)
    space.load_state_dict({key: weights[key] for key in space.state_dict()})
    return space


# -- parity ------------------------------------------------------------------------------------------------


def test_the_state_dict_has_the_official_names(official: DiffuSeqSpace) -> None:
    assert set(official.state_dict()) == {"word_embedding.weight", "lm_head.bias"}


@pytest.mark.parametrize("case", json.loads((DATA / "data_prep.json").read_text()))
def test_pairs_are_merged_cut_and_padded_as_officially(case: dict[str, list[int]]) -> None:
    source, target = merge([101, *case["src_ids"], 102], [101, *case["trg_ids"], 102], case["seq_len"])
    padding = case["seq_len"] - len(source) - len(target)
    assert source + target + [0] * padding == case["input_ids"]
    assert [0] * len(source) + [1] * (len(target) + padding) == case["input_mask"]


def test_embeddings_logits_and_their_arg_max_are_the_official_ones(official: DiffuSeqSpace) -> None:
    vectors = load_file(DATA / "forward.safetensors")
    everything = torch.ones_like(vectors["input_mask"], dtype=torch.bool)
    batch = Batch(tuple("abcd"), vectors["input_ids"], everything)
    torch.testing.assert_close(official.embed(batch), vectors["embeds"], rtol=0, atol=0)
    torch.testing.assert_close(
        official.logits(vectors["model_output"]), vectors["logits"], atol=5e-5, rtol=1e-5
    )
    assert torch.equal(official.decode(vectors["model_output"], batch), vectors["logits_argmax"])


def test_rounding_is_the_official_one(official: DiffuSeqSpace) -> None:
    state_BLD = load_file(DATA / "forward.safetensors")["model_output"]
    vectors = load_file(DATA / "rounding.safetensors")
    rounded_BLD = official.round(state_BLD)
    assert torch.equal(rounded_BLD, official.word_embedding.weight[vectors["round_ids"].view(4, 24)])
    torch.testing.assert_close(rounded_BLD, vectors["round_embeds"].view_as(rounded_BLD), rtol=0, atol=0)


# -- laws --------------------------------------------------------------------------------------------------

lengths = st.integers(0, 60)


@settings(deadline=None)
@given(source=lengths, target=lengths, seq_len=st.integers(6, 50))
def test_merging_keeps_what_fits(source: int, target: int, seq_len: int) -> None:
    x, y = merge([1, *range(100, 100 + source), 2], [1, *range(200, 200 + target), 2], seq_len)
    kept = len(x) - 3, len(y) - 2
    assert seq_len - 1 <= len(x) + len(y) <= seq_len or kept == (source, target)
    # A cut takes from the end of the longer: what has been cut is not shorter than the other, but for one.
    assert kept[0] == source or kept[0] >= kept[1] - 1
    assert kept[1] == target or kept[1] >= kept[0] - 1
    assert x == ([1, *range(100, 100 + kept[0]), 2, 2])
    assert y == ([1, *range(200, 200 + kept[1]), 2])


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 20),
    vocabulary=st.integers(30, 70),
)
def test_rounding_finds_the_nearest_row(seed: int, rows: int, vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    space = space_of(vocabulary, 4, seq_len=rows)
    table_VD = torch.randn(vocabulary, 4, generator=generator)
    space.load_state_dict({"word_embedding.weight": table_VD, "lm_head.bias": torch.zeros(vocabulary)})
    state_BLD = torch.randn(2, rows, 4, generator=generator)
    nearest_BL = torch.cdist(state_BLD.double(), table_VD.double()).amin(-1)
    found_BL = (space.round(state_BLD).double() - state_BLD.double()).norm(dim=-1)
    torch.testing.assert_close(found_BL, nearest_BL, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=30)
@given(tokens=st.lists(st.integers(0, 29), min_size=12, max_size=12), given_tokens=st.integers(0, 12))
def test_decoding_undoes_embedding(tokens: list[int], given_tokens: int) -> None:
    space = space_of(30, 30, seq_len=12)
    space.load_state_dict({"word_embedding.weight": 10 * torch.eye(30), "lm_head.bias": torch.randn(30)})
    batch = Batch(("a",), torch.tensor([tokens]), (torch.arange(12) >= given_tokens)[None])
    assert torch.equal(space.decode(space.embed(batch), batch), batch.tokens_BL)
    assert torch.equal(space.round(space.embed(batch)), space.embed(batch))


def test_decoding_keeps_the_tokens_of_the_condition() -> None:
    space = space_of(30, 4, seq_len=6)
    batch = Batch(("a",), torch.tensor([[5, 6, 7, 1, 1, 1]]), torch.tensor([[False] * 3 + [True] * 3]))
    assert space.decode(torch.randn(1, 6, 4), batch)[0, :3].tolist() == [5, 6, 7]


def test_rounding_and_decoding_stay_exact_under_autocast() -> None:
    torch.manual_seed(0)
    space, state_BLD = space_of(500, 64), torch.randn(3, 24, 64)
    batch = Batch(tuple("abc"), torch.zeros(3, 24, dtype=torch.long), torch.ones(3, 24, dtype=torch.bool))
    exact = space.round(state_BLD), space.decode(state_BLD, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(space.round(state_BLD), exact[0])
        assert torch.equal(space.decode(state_BLD, batch), exact[1])


# -- batches and text --------------------------------------------------------------------------------------


def test_a_batch_reads_back_as_its_texts() -> None:
    space = space_of(WORDS.size, 4)
    batch = space.collate(
        [
            Example("1", "  How do I learn the guitar?  ", "it's, well: a B c."),
            Example("2", "a", ""),
        ]
    )
    assert batch.ids == ("1", "2")
    assert batch.tokens_BL.dtype == torch.int64
    assert torch.equal(space.generated(batch)[..., 0], batch.target_BL)
    assert space.source_text(batch) == ["how do i learn the guitar?", "a"]
    assert space.text(batch.tokens_BL, batch) == ["it's, well : a b c [UNK]", ""]
    assert space.raw_text(batch.tokens_BL, batch)[1] == "[CLS] [SEP]"


def test_markers_within_a_text_are_removed_and_trailing_padding_cut() -> None:
    space = space_of(WORDS.size, 4, seq_len=12)
    batch = space.collate([Example("1", "a", "c [SEP] d [PAD] e")])
    assert space.raw_text(batch.tokens_BL, batch) == ["[CLS] c [SEP] d [PAD] e [SEP]"]
    assert space.text(batch.tokens_BL, batch) == ["c d e"]


def test_a_source_that_leaves_no_room_is_refused_by_name() -> None:
    space = space_of(WORDS.size, 4, seq_len=12)
    with pytest.raises(InputError, match=r"example q7: its source leaves no room .* 12 tokens"):
        space.collate([Example("q7", "a b c d e f g h i j", "")])
    beside_a_target = space.collate([Example("q7", "a b c d e f g h i j", "k l")])
    assert space.text(beside_a_target.tokens_BL, beside_a_target) == ["k l"]


def test_there_is_no_null_condition() -> None:
    space = space_of(WORDS.size, 4)
    with pytest.raises(InputError, match="no null condition"):
        space.null_condition(space.collate([Example("1", "a", "b")]))
