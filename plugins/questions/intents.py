"""The intents: each one meaning that can be asked in several ways."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from . import words

Fillers = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Intent:
    """A meaning with slots, and its surface forms: all mean the same and use every slot once.

    ``a(n)`` in a form becomes the article that the next word requires. Intents are compared by identity.
    """

    name: str
    slots: Mapping[str, tuple[str, ...]]
    forms: tuple[str, ...]

    def combinations(self) -> Iterator[Fillers]:
        """Yield every combination of one filler per slot."""
        return product(*self.slots.values())

    def render(self, fillers: Fillers, form: int) -> str:
        """Return the sentence with the surface form ``forms[form]``."""
        sentence = self.forms[form].format(**dict(zip(self.slots, fillers, strict=True)))
        return re.sub(r"a\(n\) (?=([aeiou])?)", lambda match: "an " if match[1] else "a ", sentence)


INTENTS = (
    Intent(
        "become",
        {"quality": words.QUALITIES, "job": words.JOBS},
        (
            "how can i become a(n) {quality} {job} ?",
            "what does it take to be a(n) {quality} {job} ?",
            "i want to be a(n) {quality} {job} , any advice ?",
            "where do i start to become a(n) {quality} {job} ?",
        ),
    ),
    Intent(
        "meaning",
        {"idea": words.IDEAS, "field": words.FIELDS},
        (
            "what does {idea} mean in {field} ?",
            "how is {idea} defined in {field} ?",
            "in {field} , what is {idea} ?",
            "can you explain {idea} as used in {field} ?",
        ),
    ),
    Intent(
        "difference",
        {"idea": words.IDEAS, "feeling": words.FEELINGS},
        (
            "what is the difference between {idea} and {feeling} ?",
            "how does {idea} differ from {feeling} ?",
            "are {idea} and {feeling} not the same thing ?",
            "what sets {idea} apart from {feeling} ?",
        ),
    ),
    Intent(
        "cost",
        {"item": words.ITEMS, "place": words.PLACES},
        (
            "how much does a(n) {item} cost in {place} ?",
            "what is the price of a(n) {item} in {place} ?",
            "in {place} , what would i pay for a(n) {item} ?",
            "is there a usual price for a(n) {item} in {place} ?",
        ),
    ),
    Intent(
        "recommend",
        {"product": words.PRODUCTS, "group": words.GROUPS},
        (
            "which {product} is best for {group} ?",
            "what {product} should {group} choose ?",
            "can anyone recommend a(n) {product} to {group} ?",
            "for {group} , which {product} would you pick ?",
        ),
    ),
    Intent(
        "reason",
        {"animals": words.ANIMALS, "action": words.ACTIONS},
        (
            "why do {animals} {action} ?",
            "what makes {animals} {action} ?",
            "is there a reason that {animals} {action} ?",
            "how come {animals} {action} ?",
        ),
    ),
    Intent(
        "visit",
        {"place": words.PLACES, "month": words.MONTHS},
        (
            "which places should i visit in {place} in {month} ?",
            "where should one go in {place} in {month} ?",
            "in {month} , what is worth seeing in {place} ?",
            "what is worth a trip in {place} in {month} ?",
        ),
    ),
    Intent(
        "opinion",
        {"group": words.GROUPS, "issue": words.ISSUES},
        (
            "what do {group} think about {issue} ?",
            "how do {group} feel about {issue} ?",
            "where do {group} stand on {issue} ?",
            "what is the opinion of {group} on {issue} ?",
        ),
    ),
)
