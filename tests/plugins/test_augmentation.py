"""[PAD] put into conditions (Table 6)."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dlmone.core import Batch, Example, InputError, Noise, Space
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.augmentation.options import PadOptions
from dlmone.plugins.augmentation.pad import PadAugmenter
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.space import DiffuSeqSpace
from dlmone.plugins.tokenizers.words import words
from dlmone.testing import check_augmenter, toy_teacher

TEXTS = ["how do i learn the guitar well", "what is rain", "", "a b c d e f g h i j k l m n"]
WORDS = Tokenizer(words(TEXTS))
PAD, CLS, SEP = WORDS.pad_id, WORDS.cls_id, WORDS.sep_id


def space_of(seq_len: int) -> DiffuSeqSpace:
    return DiffuSeqSpace(WORDS, discrete_schedule("sqrt", 20), seq_len=seq_len, hidden_dim=4)


def padded(space: Space, texts: list[str], seed: int = 0, **options: object) -> tuple[Batch, Batch]:
    batch = space.collate([Example(str(i), text, "what is rain") for i, text in enumerate(texts)])
    augmenter = PadAugmenter(PadOptions.model_validate(options))
    return batch, augmenter.augment(batch, space, Noise([(seed, id) for id in batch.ids]))


def conditions(batch: Batch) -> list[list[int]]:
    return [t_L[~m_L].tolist() for t_L, m_L in zip(batch.tokens_BL, batch.target_BL, strict=True)]


@pytest.mark.parametrize("options", [{"probability": 1}, {"probability": 0.5}, {"each": "token"}], ids=str)
def test_it_keeps_the_contract(options: dict[str, object]) -> None:
    check_augmenter(PadAugmenter(PadOptions.model_validate(options)))


def test_one_pad_goes_before_some_token_and_the_rest_moves_back() -> None:
    space = space_of(30)
    places: Counter[int] = Counter()
    for seed in range(200):
        before, after = padded(space, TEXTS[:1], seed, probability=1)
        [old], [new] = conditions(before), conditions(after)
        place = new.index(PAD)
        places[place] += 1
        assert new[:place] + new[place + 1 :] == old
        assert torch.equal(after.tokens_BL[0, len(new) :], before.tokens_BL[0, len(old) : -1])
        assert space.source_text(after) == space.source_text(before)
        assert space.text(after.tokens_BL, after) == ["what is rain"]
    # [CLS] is before the first word, so a [PAD] can stand at 1, and before the last word's place at most.
    assert sorted(places) == [1, 2, 3, 4, 5, 6, 7]
    assert min(places.values()) > 10


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_the_probability_is_of_an_insertion_a_text(probability: float, share: float) -> None:
    counts = [
        row.count(PAD)
        for row in conditions(padded(space_of(30), TEXTS[:1] * 400, probability=probability)[1])
    ]
    assert set(counts) <= {0, 1}
    assert sum(counts) / 400 == pytest.approx(share, abs=0.07)


def test_or_of_one_before_each_token() -> None:
    _, after = padded(space_of(40), TEXTS[:1] * 200, each="token", probability=0.5)
    counts = [row.count(PAD) for row in conditions(after)]
    assert sum(counts) / 200 == pytest.approx(7 * 0.5, abs=0.3)
    _, after = padded(space_of(40), TEXTS[:1], each="token", probability=1)
    [row] = conditions(after)
    assert row[:3] == [CLS, PAD, row[2]]
    assert row[-2:] == [SEP, SEP]
    assert row.count(PAD) == 7


def test_an_empty_condition_and_its_markers_stay() -> None:
    for each in ("text", "token"):
        before, after = padded(space_of(20), [""], probability=1, each=each)
        assert torch.equal(before.tokens_BL, after.tokens_BL)


@given(st.integers(0, 30), st.sampled_from(["text", "token"]), st.integers(8, 24))
def test_a_full_sequence_keeps_room_for_a_target(seed: int, each: str, seq_len: int) -> None:
    before, after = padded(space_of(seq_len), [TEXTS[0], TEXTS[3]], seed, each=each, probability=1)
    assert after.tokens_BL.shape == (2, seq_len)
    assert bool((after.target_BL.sum(1) >= 3).all())
    for old, new in zip(conditions(before), conditions(after), strict=True):
        assert [token for token in new if token != PAD] == old, "no word of a condition is lost"


def test_models_that_have_no_condition_or_no_blank_refuse() -> None:
    toy = toy_teacher()
    batch, noise = toy.space.collate([Example("rain", "what is rain", "")]), Noise([("a",)])
    toy.space.conditional = False
    with pytest.raises(InputError, match="this model has none"):
        PadAugmenter(PadOptions()).augment(batch, toy.space, noise)
    with pytest.raises(InputError, match="ToySpace has no blank token"):
        Space.insert_blanks(toy.space, batch, ~batch.target_BL)


@pytest.mark.parametrize("options", [{"probability": 1.5}, {"probability": -0.1}, {"each": "word"}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PadOptions.model_validate(options)


def test_probability_is_the_first_option() -> None:
    assert next(iter(PadOptions.model_fields)) == "probability"
