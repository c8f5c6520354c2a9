"""Normalise text before it is split: Unicode normal form, accents, case."""

from typing import Protocol

from tokenizers import Regex, normalizers

#: Accents of Latin, Greek and Cyrillic. A voiced kana's mark is another, and so are vowel signs.
ACCENTS = "[\u0300-\u036f]"


class Text(Protocol):
    """The options of a tokenizer that concern its text."""

    @property
    def lowercase(self) -> bool: ...
    @property
    def accents(self) -> bool: ...
    @property
    def form(self) -> str: ...


def normalizer(text: Text) -> normalizers.Normalizer:
    """Return the normaliser that options ask for; a second pass changes nothing."""
    steps: list[normalizers.Normalizer] = []
    if text.form == "NFKC":
        steps.append(normalizers.NFKC())
    if text.lowercase:
        steps.append(normalizers.Lowercase())
    if not text.accents:
        steps += [normalizers.NFD(), normalizers.Replace(Regex(ACCENTS), "")]
    return normalizers.Sequence([*steps, normalizers.NFC()])
