"""Map a meaning to its sentences, and a sentence back to its meaning.

Version 2 has 8 intents, 32 forms and 230 fillers. Their 2,646 combinations of an intent and its fillers make
10,584 sentences, no two alike, of at most 11 words (punctuation counts) from a vocabulary of 304, and 31,752
pairs of a sentence and a paraphrase of it.
"""

import re
from functools import cache
from typing import NamedTuple

from .intents import INTENTS, Fillers, Intent

#: Part of the scores' signature: increase it whenever a word or a form changes.
VERSION = 2


class Reading(NamedTuple):
    """A sentence's meaning, and its surface form ``intent.forms[form]``."""

    intent: Intent
    fillers: Fillers
    form: int


@cache
def readings() -> dict[str, Reading]:
    """Return every sentence of the grammar with its unique reading."""
    return {
        intent.render(fillers, form): Reading(intent, fillers, form)
        for intent in INTENTS
        for fillers in intent.combinations()
        for form in range(len(intent.forms))
    }


def normalise(sentence: str) -> str:
    """Normalise to single spaces, around punctuation too, as tokenisers decode it differently."""
    return " ".join(re.sub(r"([?,])", r" \1 ", sentence).split())


def parse(sentence: str) -> Reading | None:
    """Return the reading of a sentence, or None if it is not in the grammar."""
    return readings().get(normalise(sentence))


def paraphrases(source: str) -> set[str]:
    """Return all paraphrases of ``source`` except itself; a sentence outside the grammar has none."""
    reading = parse(source)
    if reading is None:
        return set()
    intent, fillers, own_form = reading
    return {intent.render(fillers, form) for form in range(len(intent.forms)) if form != own_form}
