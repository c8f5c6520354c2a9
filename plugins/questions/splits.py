"""Assign pairs to splits by the seed alone.

Items are shuffled by sorting on a keyed hash, which does not depend on the version of Python or a library.
"""

from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from itertools import chain, zip_longest
from typing import NamedTuple, TypeVar

from dlmone.core.text.data import Split

from .intents import INTENTS, Fillers, Intent
from .languages import LANGUAGES, Language

T = TypeVar("T")

#: Each split keeps one in this many of an intent's combinations; train gets the rest.
HELD_OUT: dict[Split, int] = {"test": 10, "valid": 20}


class Pair(NamedTuple):
    """A meaning, asked with two different forms."""

    intent: Intent
    fillers: Fillers
    source: int
    target: int

    def texts(self) -> tuple[str, str]:
        return self.intent.render(self.fillers, self.source), self.intent.render(self.fillers, self.target)

    def units(self) -> set[Hashable]:
        """Return the pair's fillers and forms, which contain all of its words."""
        return {(self.intent, part) for part in (*enumerate(self.fillers), self.source, self.target)}


def shuffled(items: Iterable[T], *key: object) -> list[T]:
    """Return ``items`` in a random order that depends on ``key`` and each item's ``str``."""
    return sorted(items, key=lambda item: blake2b(repr((*key, item)).encode(), digest_size=16).digest())


def covering_first(items: Iterable[T], units: Callable[[T], set[Hashable]]) -> list[T]:
    """Move items that introduce a new unit to the front; keep the order otherwise."""
    seen: set[Hashable] = set()
    news: list[T] = []
    others: list[T] = []
    for item in items:
        shown = units(item)
        (others if shown <= seen else news).append(item)
        seen |= shown
    return news + others


def combinations(intent: Intent, split: Split, seed: int) -> list[Fillers]:
    """Return the intent's filler combinations in a split. Splits are disjoint; train has every filler."""
    rest = covering_first(
        shuffled(intent.combinations(), seed, intent.name), lambda fillers: set(enumerate(fillers))
    )
    total = len(rest)
    for name, one_in in HELD_OUT.items():
        size = total // one_in
        rest, held_out = rest[:-size], rest[-size:]
        if name == split:
            return held_out
    return rest


def sentences(split: Split, seed: int, turn: int = 0) -> list[str]:
    """Return all sentences of a split, each once; every ``turn`` has an order of its own."""
    found = [
        intent.render(fillers, form)
        for intent in INTENTS
        for fillers in combinations(intent, split, seed)
        for form in range(len(intent.forms))
    ]
    return shuffled(found, seed, split, "sentences", turn)


def intent_pairs(intent: Intent, split: Split, seed: int) -> list[Pair]:
    """Return the intent's pairs in a split. In train a source has every target, elsewhere a random one."""
    forms = range(len(intent.forms))
    choices = []
    for fillers in combinations(intent, split, seed):
        for source in forms:
            targets = shuffled(set(forms) - {source}, seed, split, intent.name, fillers, source)
            choices += [
                (fillers, source, target) for target in (targets if split == "train" else targets[:1])
            ]
    return [Pair(intent, *choice) for choice in shuffled(choices, seed, split, intent.name)]


def pairs(split: Split, seed: int, language: Language = "en") -> list[Pair]:
    """Return all pairs of a split, all distinct, alternating between intents.

    Training pairs that introduce a filler or a form come first, so that fewer than 500 pairs contain every
    word.
    """
    turns = zip_longest(*(intent_pairs(intent, split, seed) for intent in LANGUAGES[language]))
    in_turn = [pair for pair in chain.from_iterable(turns) if pair is not None]
    return covering_first(in_turn, Pair.units) if split == "train" else in_turn
