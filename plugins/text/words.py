"""Words in any script: how texts are written, and a split of them that knows more than ASCII and spaces."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

#: Letters of scripts without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, Japanese.
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: Shares of unspaced letters, and of words with letters besides a-z, from which a metric that does not know
#: them says so.
NOTABLE_UNSPACED, NOTABLE_OTHERS = 0.1, 0.05
#: Numbers of letters, of scripts without spaces, whose direct repetition is looked for.
GROUPS = range(2, 9)


@cache
def _kind(character: str) -> str:
    """Return the part that a character has in a word: a letter, a mark, a word of its own, space or sign."""
    if UNSPACED.match(character):
        # Vowel signs and tones of these scripts go with the letter before them.
        return "mark" if unicodedata.category(character)[0] == "M" else "word"
    return {"L": "letter", "N": "letter", "M": "mark", "C": "word", "Z": "space"}.get(
        unicodedata.category(character)[0], "sign"
    )


def words_of(text: str, *, signs: bool = False) -> list[str]:
    """Split a text in any script into words.

    A word is a run of letters, marks and digits; of scripts without spaces each letter is one.

    Args:
        text: the text; case and normal form stay.
        signs: whether punctuation and symbols are words too, one each.
    """
    found: list[str] = []
    goes_on = False  # the last word can take another letter
    for character in text:
        kind = "space" if character.isspace() else _kind(character)
        if (kind == "letter" and goes_on) or (kind == "mark" and found):
            found[-1] += character
        elif kind in ("letter", "mark", "word") or (kind == "sign" and signs):
            found.append(character)
        goes_on = kind == "letter" or (kind == "mark" and goes_on)
    return found


def repeats_itself(text: str) -> bool:
    """Tell whether a word directly follows itself; of scripts without spaces, a group of letters.

    There a letter may come twice (谢谢), so that only three of it, or two groups of `GROUPS` letters, are a
    repetition.
    """
    words = words_of(text, signs=True)
    if any(one == other and one[0].isalnum() and not UNSPACED.match(one) for one, other in pairwise(words)):
        return True
    for size in (1, *GROUPS):
        alike = 0  # letters in a row, each of which is that of so many places before
        for earlier, word in zip(words, words[size:], strict=False):
            alike = alike + 1 if word == earlier and UNSPACED.match(word) else 0
            if alike == max(size, 2):
                return True
    return False


def without_spaces(texts: Iterable[str]) -> str | None:
    """Return in a clause that texts have no spaces between words; None if they have."""
    letters = unspaced = 0
    for text in texts:
        letters += sum(map(str.isalpha, text))
        unspaced += len(UNSPACED.findall(text))
    if unspaced <= NOTABLE_UNSPACED * max(letters, 1):
        return None
    return f"{min(1, unspaced / max(letters, 1)):.0%} of the letters belong to scripts without spaces"


def beyond_ascii(texts: Iterable[str]) -> str | None:
    """Return in a clause that texts have words with letters besides a-z; None if they are few."""
    words = [word for text in texts for word in words_of(text)]
    others = sum(not word.isascii() for word in words)
    if others <= NOTABLE_OTHERS * max(len(words), 1):
        return None
    return f"{others / len(words):.0%} of the words have letters besides a-z"
