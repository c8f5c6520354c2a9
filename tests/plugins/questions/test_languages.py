"""plugins/questions/languages.py: every sentence has one reading, however it is spaced."""

import re

import pytest

from dlmone.core import Sample
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.questions.evaluator import QuestionsEvaluator
from dlmone.plugins.questions.grammar import paraphrases, parse, readings
from dlmone.plugins.questions.languages import LANGUAGES, Language
from dlmone.plugins.questions.options import EvaluatorOptions, SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.registry import TokenizerChoice
from dlmone.testing import check_data_source

OTHERS: tuple[Language, ...] = ("fr", "zh")


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_one_reading(language: Language) -> None:
    intents = LANGUAGES[language]
    assert len(readings(language)) == sum(
        len(intent.forms) * len(list(intent.combinations())) for intent in intents
    )
    assert not readings(language).keys() & readings("en").keys()
    for intent in intents:
        for form in intent.forms:
            assert sorted(re.findall(r"{(.*?)}", form)) == sorted(intent.slots)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", ["words", "wordpiece:400", "bpe:400", "unigram:400", "characters"])
def test_a_sentence_is_read_as_any_tokeniser_gives_it_back(language: Language, kind: str) -> None:
    sentences = sorted(readings(language))
    tokenizer = Tokenizer.from_bytes(TokenizerChoice.model_validate(kind).build(sentences).encode())
    for sentence in sentences[::37]:
        assert parse(tokenizer.read_back(sentence)) == readings(language)[sentence]


@pytest.mark.parametrize("language", OTHERS)
def test_splits_share_no_meaning_and_train_has_every_word(language: Language) -> None:
    source = QuestionsSource(SourceOptions(language=language, train=4056, valid=76, test=156))
    check_data_source(source)
    meanings = [
        {(reading.intent.name, reading.fillers) for e in source.split(name) if (reading := parse(e.source))}
        for name in ("train", "valid", "test")
    ]
    assert sum(map(len, meanings)) == len(set.union(*meanings))
    seen = {unit for e in source.split("train")[:1000] for unit in e.source + e.target}
    assert seen == {unit for sentence in readings(language) for unit in sentence}


@pytest.mark.parametrize("language", OTHERS)
def test_a_paraphrase_scores_and_a_lost_accent_does_not(language: Language) -> None:
    [example] = QuestionsSource(SourceOptions(language=language, train=500, valid=1, test=1)).split("valid")
    right, other = sorted(paraphrases(example.source))[:2]
    scores = QuestionsEvaluator(EvaluatorOptions()).evaluate([Sample("1", example.source, right, (other,))])
    assert scores[0].value == 1
    assert len(paraphrases(example.source)) == 3
    if language == "fr":
        assert parse("que signifie l'energie en physique ?") is None
        assert parse("que signifie l ' énergie en physique?") is not None
