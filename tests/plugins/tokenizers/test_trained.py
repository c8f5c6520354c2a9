"""plugins/tokenizers: what vocabularies of our own keep of a text, in any script."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from dlmone.core import InputError
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.tokenizers.options import WordPieceOptions, WordsOptions
from dlmone.plugins.tokenizers.words import wordpiece, words
from dlmone.registry import Registry, TokenizerChoice

CORPUS = [
    f"{subject} {verb}ing the {noun}s ?"
    for subject in ("he", "she")
    for verb in ("learn", "teach")
    for noun in ("song", "lesson", "rule")
]
REGISTRY = Registry.discover()
KINDS = ("words", "wordpiece:300", "bpe:300", "unigram:300", "characters")
#: Texts in which a tokenizer made for English has gone wrong: accents, voiced kana, scripts without spaces,
#: vowel signs, letters that lower-case to two, full stops of their own.
SCRIPTS = {
    "french": ["où est-ce que l'élève a été ?", "ça coûte très cher à noël"],
    "german": ["der fluß ist schön", "über größe spricht man nicht"],
    "japanese": ["ガラスで作る", "カラスて書く", "ぱぴぷぺぽ ばびぶべぼ はひふへほ"],
    "chinese": ["丽江是哪个省", "丽江在哪个省份？", "中国有多少个省。"],
    "hindi": ["दिल्ली में क्या देखें ?", "हिन्दी कैसे सीखें ?"],
    "korean": ["서울에는 무엇이 있나요 ?", "한국어를 배우고 싶어요"],
    "greek": ["πόσο κοστίζει αυτό ;", "τι ώρα είναι"],
    "arabic": ["كيف أتعلم اللغة ؟", "أين تقع المدينة"],
    "thai": ["ราคาเท่าไหร่", "เชียงใหม่อยู่ที่ไหน"],
}


def built(kind: str | dict[str, object], texts: list[str]) -> Tokenizer:
    choice = TokenizerChoice.model_validate(kind, context={"catalogue": REGISTRY})
    return Tokenizer.from_bytes(choice.build(texts).encode())


def letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_letter_comes_back(kind: str, script: str) -> None:
    tokenizer = built(kind, SCRIPTS[script])
    for text in SCRIPTS[script]:
        ids = tokenizer.encode(text)
        assert tokenizer.unk_id not in ids, text
        assert letters(tokenizer.read_back(text)) == letters(text)


@pytest.mark.parametrize("kind", ["bpe:300", "unigram:300", "characters"])
def test_spaces_and_case_come_back_too(kind: str) -> None:
    texts = ["Où est  l'Élève ?", "丽江 是 哪个 省?", "a.b , c"]
    for text in texts:
        assert built(kind, texts).read_back(text) == " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_voiced_and_unvoiced_kana_differ(kind: str) -> None:
    tokenizer = built(kind, SCRIPTS["japanese"])
    assert tokenizer.encode("ガラスで") != tokenizer.encode("カラスて")


@pytest.mark.parametrize("use", ["words", "wordpiece", "bpe", "unigram", "characters"])
def test_case_accents_and_normal_form_are_options(use: str) -> None:
    texts = ["Été ガ Ａ", "été カ a"]
    both = built({"use": use, "lowercase": False}, texts)
    assert both.encode("Été") != both.encode("été")
    lower = built({"use": use, "lowercase": True}, texts)
    assert lower.encode("Été") == lower.encode("été")
    assert lower.encode("été") == lower.encode(unicodedata.normalize("NFD", "été"))
    plain = built({"use": use, "lowercase": True, "accents": False}, texts)
    assert plain.read_back("Été") == "ete"
    assert plain.encode("ガ") != plain.encode("カ")
    folded = built({"use": use, "form": "NFKC", "lowercase": True}, texts)
    assert folded.encode("Ａ") == folded.encode("a")
    assert lower.encode("Ａ") != lower.encode("a")


def test_chinese_words_are_joined_again_and_others_are_not() -> None:
    tokenizer = built("words", ["我 在 paris 买 了 一台 camera ， 很好 。"])
    assert tokenizer.read_back("我在 paris 买了一台 camera，很好。") == "我在 paris 买了一台 camera，很好。"


def test_words_are_numbered_by_frequency_after_the_markers() -> None:
    tokenizer = Tokenizer(words(["b c", "C a c", "it's ?"]))
    vocabulary = tokenizer.backend.get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "c", "'", "?", "a", "b", "it", "s",
    ]  # fmt: skip
    assert tokenizer.pad_id == 0
    assert tokenizer.encode("c unseen [PAD] a") == [2, 4, 1, 0, 7, 3]
    assert tokenizer.decode(tokenizer.encode("It's C?")) == "[CLS] it's c? [SEP]"


def test_rare_words_and_characters_can_be_left_unknown() -> None:
    texts = ["aa bb", "aa bb", "aa cc"]
    assert built({"use": "words", "min_count": 2}, texts).read_back("aa cc bb") == "aa [UNK] bb"
    assert built({"use": "characters", "min_count": 3}, texts).read_back("abc") == "ab[UNK]"
    assert words(texts, WordsOptions(min_count=3)).get_vocab_size() == 5


def test_a_trained_vocabulary_reads_back_what_it_has_seen() -> None:
    tokenizer = Tokenizer(wordpiece(CORPUS, WordPieceOptions(vocab_size=80)))
    assert tokenizer.pad_id == 0
    assert tokenizer.size <= 80
    text = "she learning the rules?"
    assert tokenizer.decode(tokenizer.encode(text)) == f"[CLS] {text} [SEP]"
    assert tokenizer.encode("[SEP]") == [2, 3, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_training_a_vocabulary_is_deterministic_across_processes(kind: str) -> None:
    texts = [*CORPUS, *SCRIPTS["french"], *SCRIPTS["chinese"]]
    code = (
        "import sys, json; from dlmone.registry import TokenizerChoice; "
        "sys.stdout.write(TokenizerChoice.model_validate(sys.argv[1]).build(json.load(sys.stdin)))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code, kind],
            input=json.dumps(texts).encode(),
            capture_output=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert made[0] == made[1] == TokenizerChoice.model_validate(kind).build(texts).encode()


def test_rare_characters_do_not_fill_a_trained_vocabulary() -> None:
    rare = "".join(chr(0x3041 + i) for i in range(80)) + "".join(chr(0xAC00 + i) for i in range(1200))
    tokenizer = Tokenizer(wordpiece([*CORPUS * 2, rare], WordPieceOptions(vocab_size=500)))
    assert tokenizer.size < 2200
    assert tokenizer.decode(tokenizer.encode("he teaching")) == "[CLS] he teaching [SEP]"


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_rebuild_a_tokenizer(kind: str) -> None:
    tokenizer = built(kind, CORPUS)
    restored = Tokenizer.from_bytes(tokenizer.to_bytes())
    assert restored.to_bytes() == tokenizer.to_bytes()
    for text in (*CORPUS, "unseen wörds [PAD] it's"):
        assert restored.encode(text) == tokenizer.encode(text)
        assert restored.decode(restored.encode(text)) == tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_without_a_word_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="tokenizer: the training texts"):
        built(kind, ["", "  "])


def test_a_tokenizer_is_one_plugin(tmp_path: Path) -> None:
    plugin = tmp_path / "vowels.py"
    plugin.write_text(
        """
import tokenizers
from dlmone.core import TokenizerBuilder
from dlmone.registry import hookimpl

@hookimpl
def register_tokenizers(register):
    register("vowels", f"{__name__}:Vowels", options=f"{__name__}:Options", help="five letters")

from pydantic import BaseModel, ConfigDict

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    letters: str = "aeiou"

class Vowels(TokenizerBuilder):
    def __init__(self, options):
        self.letters = options.letters

    def build(self, texts):
        vocabulary = {"[UNK]": 0} | {letter: i for i, letter in enumerate(self.letters, start=1)}
        return tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")).to_str()
"""
    )
    registry = Registry.discover([plugin])
    options = registry.options("teachers", "diffuseq", {"tokenizer": "vowels:ae"})
    tokenizer = Tokenizer.from_bytes(options.tokenizer.build([]).encode())  # type: ignore[attr-defined]
    assert tokenizer.size == 3 + 3
    assert options.model_dump()["tokenizer"] == {"use": "vowels", "letters": "ae"}
