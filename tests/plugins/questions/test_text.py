"""Text without a source: rows that are disjoint and whole, and scores that decide exactly what a row is."""

from dataclasses import replace
from itertools import chain

import pytest
from pydantic import ValidationError

from dlmone.core import Example, InputError, Sample
from dlmone.plugins.questions.grammar import parse, readings
from dlmone.plugins.questions.options import Rows, TextOptions
from dlmone.plugins.questions.text import QuestionTextSource
from dlmone.plugins.questions.validity import QuestionTextEvaluator
from dlmone.testing import check_data_source, check_evaluator

SPLITS = ("train", "valid", "test")
WRAPPED = {"rows": "wrapped", "words": 12}
QUESTION = "why do wolves swim ?"


def samples_of(examples: list[Example]) -> list[Sample]:
    return [Sample(example.id, "", example.target, (example.target,)) for example in examples]


def scores(texts: list[str], **options: object) -> dict[str, float]:
    """Return the scores of outputs beside as many rows of the test split."""
    rows = QuestionTextSource(TextOptions(**options, test=len(texts))).split("test")
    samples = [replace(one, candidates=(text,)) for one, text in zip(samples_of(rows), texts, strict=True)]
    return {score.name: score.value for score in QuestionTextEvaluator(Rows(**options)).evaluate(samples)}


@pytest.mark.parametrize("options", [{}, WRAPPED])
def test_the_contracts(options: dict[str, object]) -> None:
    source = QuestionTextSource(TextOptions(**options, train=30, valid=20, test=20))
    check_data_source(source)
    check_evaluator(QuestionTextEvaluator(Rows(**options)), samples_of(source.split("test")))


def test_sentences_are_all_there_once_and_splits_share_no_meaning() -> None:
    source = QuestionTextSource(TextOptions())
    texts = {name: [example.target for example in source.split(name)] for name in SPLITS}
    assert {name: len(found) for name, found in texts.items()} == {"train": 9028, "valid": 512, "test": 1044}
    assert sorted(chain.from_iterable(texts.values())) == sorted(readings())
    meanings = {name: {parse(text)[:2] for text in found} for name, found in texts.items()}
    assert meanings["train"].isdisjoint(meanings["valid"] | meanings["test"])
    assert meanings["valid"].isdisjoint(meanings["test"])
    assert not any(example.source for name in SPLITS for example in source.split(name))
    with pytest.raises(InputError, match="test = 1,045 asks for more sentences than the grammar has, 1,044"):
        QuestionTextSource(TextOptions(test=1045)).split("test")


def test_wrapped_rows_are_running_text_cut_where_they_are_full() -> None:
    rows = [row.target for row in QuestionTextSource(TextOptions(rows="wrapped", test=600)).split("test")]
    assert {len(row.split()) for row in rows} == {32}
    # Whole sentences come again in a second turn, in another order.
    text = " ".join(rows).split(" ?")
    questions = [f"{question.strip()} ?" for question in text[:-1]]
    assert all(parse(question) for question in questions)
    first, second = questions[:1044], questions[1044:2088]
    assert sorted(first) == sorted(second)
    assert first != second
    once = QuestionTextSource(TextOptions(rows="wrapped")).split("test")
    assert [row.target for row in once] == rows[: len(once)]


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (QUESTION, True),
        ("why do wolves swim?", True),
        ("why do wolves wolves swim ?", False),
        (f"{QUESTION} {QUESTION}", False),
        ("why do wolves", False),
        ("", False),
    ],
)
def test_a_row_is_one_question(text: str, valid: bool) -> None:
    assert scores([text])["validity"] == valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("wolves swim ? why do wolves swim ? how much does a", True),
        ("? why do wolves swim ? why do wolves swim ? why", True),
        ("why do wolves swim ? what makes wolves swim ? which car", True),
        ("why do wolves swim ? what makes wolves swim ? which which", False),
        ("swim wolves ? why do wolves swim ? how much does a", False),
        ("wolves swim ? why does wolves swim ? how much does a", False),
        ("wolves swim ? why do wolves swim ? how much does", False),
        ("wolves swim ? why do wolves swim ? how much does a car", False),
        ("how much does a how much does a how much does a", False),
    ],
)
def test_a_wrapped_row_is_cut_from_questions(text: str, valid: bool) -> None:
    assert scores([text], **WRAPPED)["validity"] == valid


def test_held_out_text_has_the_best_scores_and_one_sentence_repeated_covers_nothing() -> None:
    rows = [row.target for row in QuestionTextSource(TextOptions(test=500)).split("test")]
    best = scores(rows)
    assert best["validity"] == best["sentence_coverage"] == pytest.approx(1)
    assert best["unit_coverage"] > 0.7
    collapsed = scores([QUESTION] * 500)
    assert collapsed["validity"] == 1
    assert collapsed["sentence_coverage"] == pytest.approx(1 / 500)
    # One form and two fillers of 32 forms and 298 places of fillers.
    assert collapsed["unit_coverage"] == pytest.approx(3 / 330)
    half = scores([QUESTION, "nothing", "of", "this"])
    assert half["sentence_coverage"] == pytest.approx(1 / 4)


def test_references_that_are_no_rows_are_refused() -> None:
    evaluator = QuestionTextEvaluator(Rows())
    with pytest.raises(InputError, match="the reference of sample 'a' is no row of the grammar"):
        evaluator.evaluate([Sample("a", "", "something else", (QUESTION,))])


@pytest.mark.parametrize("wrong", [{"rows": "pairs"}, {"words": 11}, {"test": 0}, {"tset": 5}])
def test_wrong_options(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TextOptions(**wrong)
