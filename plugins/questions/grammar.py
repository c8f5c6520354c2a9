"""Map a meaning to its sentences, and a sentence back to its meaning.

In English, version 2 has 8 intents, 32 forms and 230 fillers. Their 2,646 combinations of an intent and its
fillers make 10,584 sentences, no two alike, of at most 11 words (punctuation counts) from a vocabulary of
304, and 31,752 pairs of a sentence and a paraphrase of it.
"""

import re
from functools import cache
from typing import NamedTuple

from .intents import Fillers, Intent
from .languages import LANGUAGES, Language

#: Part of the scores' signature: increase it whenever a word or a form changes.
VERSION = 2
CHINESE_SIGN = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"


class Reading(NamedTuple):
    """A sentence's meaning, and its surface form ``intent.forms[form]``."""

    intent: Intent
    fillers: Fillers
    form: int


@cache
def readings(language: Language = "en") -> dict[str, Reading]:
    """Return every sentence of the grammar with its unique reading."""
    return {
        intent.render(fillers, form): Reading(intent, fillers, form)
        for intent in LANGUAGES[language]
        for fillers in intent.combinations()
        for form in range(len(intent.forms))
    }


def normalise(sentence: str) -> str:
    """Normalise the spaces around punctuation, as tokenisers decode them differently.

    There is one on both sides of ``?`` and ``,``, none beside an apostrophe or a hyphen, and none in Chinese.
    """
    text = re.sub(r"\s*(['-])\s*", r"\1", re.sub(r"([?,])", r" \1 ", sentence))
    return re.sub(f"(?<={CHINESE_SIGN})\\s+(?={CHINESE_SIGN})", "", " ".join(text.split()))


def parse(sentence: str) -> Reading | None:
    """Return the reading of a sentence, or None if it is not in the grammar, of whatever language."""
    normal = normalise(sentence)
    return next((found for one in LANGUAGES if (found := readings(one).get(normal))), None)


def paraphrases(source: str) -> set[str]:
    """Return all paraphrases of ``source`` except itself; a sentence outside the grammar has none."""
    reading = parse(source)
    if reading is None:
        return set()
    intent, fillers, own_form = reading
    return {intent.render(fillers, form) for form in range(len(intent.forms)) if form != own_form}
