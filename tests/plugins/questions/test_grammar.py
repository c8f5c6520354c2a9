"""The grammar: unambiguous, grammatical, of the stated size."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.plugins.questions import grammar
from dlmone.plugins.questions.grammar import normalise, paraphrases, parse, readings
from dlmone.plugins.questions.intents import INTENTS, Intent

FILLERS = {filler for intent in INTENTS for slot in intent.slots.values() for filler in slot}
# Vowel letters that sound like a consonant, and silent h: no filler may start so.
IRREGULAR_ARTICLE = re.compile(r"(uni|us[eu]|ut[ie]|eu|ewe|one|once|hour|honest|honou?r|heir)")


@st.composite
def drawn_readings(draw: st.DrawFn) -> tuple[Intent, tuple[str, ...], int]:
    intent = draw(st.sampled_from(INTENTS))
    fillers = tuple(draw(st.sampled_from(slot)) for slot in intent.slots.values())
    return intent, fillers, draw(st.integers(0, len(intent.forms) - 1))


@given(drawn_readings())
def test_a_rendered_question_parses_back_to_what_it_was_rendered_from(reading):
    intent, fillers, form = reading
    assert parse(intent.render(fillers, form)) == reading


def test_no_two_readings_make_the_same_sentence():
    expected = sum(len(intent.forms) * len(list(intent.combinations())) for intent in INTENTS)
    assert len(readings()) == expected


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.name)
def test_each_form_uses_each_slot_once_and_no_filler_comes_twice(intent):
    assert len(intent.forms) >= 4
    assert len(set(intent.forms)) == len(intent.forms)
    for form in intent.forms:
        assert sorted(re.findall(r"{(\w+)}", form)) == sorted(intent.slots)
    for slot in intent.slots.values():
        assert len(set(slot)) == len(slot)


def test_the_stated_counts():
    words = {word for sentence in readings() for word in sentence.split()}
    combinations = [len(list(intent.combinations())) for intent in INTENTS]
    pairs = [len(i.forms) * (len(i.forms) - 1) * n for i, n in zip(INTENTS, combinations, strict=True)]
    forms = sum(len(intent.forms) for intent in INTENTS)
    stated = (
        f"{len(INTENTS)} intents, {forms} forms and {len(FILLERS)} fillers",
        f"{sum(combinations):,} combinations",
        f"{len(readings()):,} sentences",
        f"at most {max(len(sentence.split()) for sentence in readings())} words",
        f"vocabulary of {len(words)}",
        f"{sum(pairs):,} pairs",
    )
    described = " ".join((grammar.__doc__ or "").split())
    assert [text for text in stated if text not in described] == []


def test_articles_agree_with_the_word_after_them():
    assert [filler for filler in FILLERS if IRREGULAR_ARTICLE.match(filler)] == []
    for sentence in readings():
        for article, word in re.findall(r"\b(an?) (\w+)", sentence):
            sounds_open = word[0] in "aeiou" and not IRREGULAR_ARTICLE.match(word)
            assert (article == "an") == sounds_open, sentence


def test_sentences_are_lower_case_words_and_spaced_punctuation_ending_in_a_question_mark():
    for sentence in readings():
        assert re.fullmatch(r"[a-z]+( ([a-z]+|,))* \?", sentence), sentence


def test_subjects_of_do_are_plural_and_nouns_after_an_article_are_singular():
    irregular_plurals = {"children", "people", "sheep", "mice", "wolves"}
    slots = {name: slot for intent in INTENTS for name, slot in intent.slots.items()}
    for filler in (*slots["group"], *slots["animals"]):
        assert filler.endswith("s") or filler.split()[-1] in irregular_plurals
    for filler in (*slots["job"], *slots["item"], *slots["product"]):
        assert re.search(r"[^s]$|ss$", filler)


def test_parse_takes_other_spacing_but_no_other_text():
    question = "how can i become an independent detective ?"
    reading = parse(question)
    assert reading is not None
    assert (reading.intent.name, reading.fillers, reading.form) == (
        "become",
        ("independent", "detective"),
        0,
    )
    assert parse("  how can i become an  independent detective?\n") == reading
    assert normalise("i want to be a chef,any advice?") == "i want to be a chef , any advice ?"
    for other in (
        "",
        "how can i become a independent detective ?",
        "how can i become an independent dectective ?",
        "how can i become an independent detective",
        "how can i become an independent detective ? ?",
        "How can i become an independent detective ?",
    ):
        assert parse(other) is None


def test_paraphrases_are_all_other_forms_of_the_same_meaning():
    assert paraphrases("which car is best for teenagers?") == {
        "what car should teenagers choose ?",
        "can anyone recommend a car to teenagers ?",
        "for teenagers , which car would you pick ?",
    }
    assert paraphrases("which car is best ?") == set()
