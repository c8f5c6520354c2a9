"""plugins/text/words.py: words in any script, and how texts are written."""

import pytest

from dlmone.plugins.text.words import beyond_ascii, without_spaces, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("丽江是哪个省?", ["丽", "江", "是", "哪", "个", "省"]),
        ("我在 Paris 买了3个", ["我", "在", "Paris", "买", "了", "3", "个"]),
        ("ガラスで", ["ガ", "ラ", "ス", "で"]),
        ("l'élève a été", ["l", "élève", "a", "été"]),
        ("हिन्दी कैसे", ["हिन्दी", "कैसे"]),
        ("เชียงใหม่", ["เ", "ชี", "ย", "ง", "ใ", "ห", "ม่"]),
        ("서울에는 무엇이", ["서울에는", "무엇이"]),
        ("  ", []),
    ],
)
def test_words_are_runs_of_letters_or_single_characters(text: str, words: list[str]) -> None:
    assert words_of(text) == words
    assert [word for word in words_of(text, signs=True) if word not in "?'"] == words


def test_signs_are_words_where_they_are_wanted() -> None:
    assert words_of("why?!", signs=True) == ["why", "?", "!"]


def test_how_texts_are_written_is_said() -> None:
    assert without_spaces(["how are you", "été"]) is None
    assert without_spaces(["丽江是哪个省", "how"]) == "67% of the letters belong to scripts without spaces"
    assert beyond_ascii(["how are you"] * 9 + ["café"]) is None
    assert beyond_ascii(["où est été"]) == "67% of the words have letters besides a-z"
    assert without_spaces([]) is None
    assert beyond_ascii([]) is None
