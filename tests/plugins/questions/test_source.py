"""The embedded data: splits that are disjoint, complete in their words, and the same for ever."""

from hashlib import sha256

import pytest
from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.plugins.questions.grammar import paraphrases, parse, readings
from dlmone.plugins.questions.intents import INTENTS
from dlmone.plugins.questions.options import SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.plugins.questions.splits import pairs, shuffled

SPLITS = ("train", "valid", "test")


def words(examples):
    return {word for example in examples for word in f"{example.source} {example.target}".split()}


def meanings(examples):
    return {parse(example.source)[:2] for example in examples}


@pytest.fixture(scope="module")
def splits():
    source = QuestionsSource(SourceOptions())
    return {name: source.split(name) for name in SPLITS}


def test_default_sizes_and_ids(splits):
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 20_000,
        "valid": 200,
        "test": 500,
    }
    assert splits["test"][17].id == "questions-test-17"
    assert len({example.id for examples in splits.values() for example in examples}) == 20_700


def test_targets_are_paraphrases_of_their_sources(splits):
    for examples in splits.values():
        assert all(example.target in paraphrases(example.source) for example in examples)


def test_pairs_are_distinct_and_so_are_the_sources_of_valid_and_test(splits):
    assert len({(example.source, example.target) for example in splits["train"]}) == 20_000
    assert len({example.source for example in splits["valid"]}) == 200
    assert len({example.source for example in splits["test"]}) == 500


def test_targets_are_drawn_uniformly_from_the_other_forms(splits):
    counts = {}
    for example in splits["train"]:
        intent, _, source = parse(example.source)
        key = intent, source, parse(example.target).form
        counts[key] = counts.get(key, 0) + 1
    for (intent, _, _), count in counts.items():
        expected = 20_000 / len(INTENTS) / (len(intent.forms) * (len(intent.forms) - 1))
        assert abs(count - expected) < 5 * expected**0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_splits_share_no_meaning_and_train_holds_every_word(seed):
    source = QuestionsSource(SourceOptions(train=500, valid=512, test=1_044, seed=seed))
    train, valid, test = (source.split(name) for name in SPLITS)
    all_of_train = {(pair.intent, pair.fillers) for pair in pairs("train", seed)}
    assert meanings(train) <= all_of_train
    assert all_of_train.isdisjoint(meanings(valid) | meanings(test))
    assert meanings(valid).isdisjoint(meanings(test))
    assert words(train) == {word for sentence in readings() for word in sentence.split()}


def test_the_smallest_train_has_room_for_each_unit():
    """What ``SourceOptions.train >= 500`` relies on: a leading pair shows at least one unit that is new."""
    forms = sum(len(intent.forms) for intent in INTENTS)
    fillers = sum(len(slot) for intent in INTENTS for slot in intent.slots.values())
    assert forms + fillers <= 500


def test_intents_take_turns(splits):
    counts = [sum(parse(e.source).intent is intent for e in splits["test"]) for intent in INTENTS]
    assert max(counts) - min(counts) <= 1


def test_a_larger_split_extends_a_smaller_one_and_leaves_the_others(splits):
    larger = QuestionsSource(SourceOptions(train=600, test=700))
    assert larger.split("train") == splits["train"][:600]
    assert larger.split("test")[:500] == splits["test"]
    assert larger.split("valid") == splits["valid"]


def test_another_seed_gives_other_pairs(splits):
    assert QuestionsSource(SourceOptions(seed=1)).split("test") != splits["test"]


def test_the_default_test_split_has_not_changed(splits):
    """Published scores rest on it: where a change is meant, raise ``grammar.VERSION`` with this digest."""
    text = "\n".join(f"{example.id}\t{example.source}\t{example.target}" for example in splits["test"])
    assert (
        sha256(text.encode()).hexdigest()
        == "add98b2c8f24a3e8a3c27442be96249cd9943b269eca75fb1e52f637d4cdd152"
    )


def test_shuffled_depends_on_the_key_alone():
    items = list(range(20))
    assert shuffled(items, "a") == shuffled(reversed(items), "a")
    assert shuffled(items, "a") != shuffled(items, "b")
    assert sorted(shuffled(items, "a")) == items


def test_more_pairs_than_the_grammar_has():
    with pytest.raises(InputError, match=r"test = 1,045 asks for more pairs than the grammar has, 1,044"):
        QuestionsSource(SourceOptions(test=1_045)).split("test")


@pytest.mark.parametrize("wrong", [{"train": 499}, {"test": 0}, {"tset": 5}])
def test_wrong_options(wrong):
    with pytest.raises(ValidationError):
        SourceOptions(**wrong)
