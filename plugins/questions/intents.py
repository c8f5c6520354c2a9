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

    ``a(n)`` in a form stands for the article that the word after it asks for. Each intent is one of a kind,
    so that two are equal only when they are the same object.
    """

    name: str
    slots: Mapping[str, tuple[str, ...]]
    forms: tuple[str, ...]

    def combinations(self) -> Iterator[Fillers]:
        """Every choice of one filler a slot."""
        return product(*self.slots.values())

    def render(self, fillers: Fillers, form: int) -> str:
        """The sentence that asks with ``forms[form]``."""
        sentence = self.forms[form].format(**dict(zip(self.slots, fillers, strict=True)))
        return re.sub(r"a\(n\) (?=([aeiou])?)", lambda match: "an " if match[1] else "a ", sentence)


INTENTS = (
    Intent(
        "become",
        {"quality": words.QUALITIES, "job": words.JOBS},
        (
            "how can i become a(n) {quality} {job} ?",
            "how does one become a(n) {quality} {job} ?",
            "what should i do to become a(n) {quality} {job} ?",
            "what does it take to be a(n) {quality} {job} ?",
            "what is the best way to become a(n) {quality} {job} ?",
            "i want to be a(n) {quality} {job} , where do i start ?",
        ),
    ),
    Intent(
        "learn",
        {"skill": words.SKILLS, "manner": words.MANNERS},
        (
            "what is the best way to learn {skill} {manner} ?",
            "how can i learn {skill} {manner} ?",
            "how should i go about learning {skill} {manner} ?",
            "what would help me learn {skill} {manner} ?",
            "i want to learn {skill} {manner} , any advice ?",
        ),
    ),
    Intent(
        "meaning",
        {"idea": words.IDEAS, "field": words.FIELDS},
        (
            "what does {idea} mean in {field} ?",
            "what is the meaning of {idea} in {field} ?",
            "what is meant by {idea} in {field} ?",
            "how is {idea} defined in {field} ?",
            "in {field} , what is {idea} ?",
        ),
    ),
    Intent(
        "difference",
        {"idea": words.IDEAS, "feeling": words.FEELINGS},
        (
            "what is the difference between {idea} and {feeling} ?",
            "how does {idea} differ from {feeling} ?",
            "how is {idea} different from {feeling} ?",
            "how are {idea} and {feeling} different ?",
            "what makes {idea} different from {feeling} ?",
        ),
    ),
    Intent(
        "cost",
        {"item": words.ITEMS, "place": words.PLACES},
        (
            "how much does a(n) {item} cost in {place} ?",
            "what is the price of a(n) {item} in {place} ?",
            "how much is a(n) {item} in {place} ?",
            "how much do people in {place} pay for a(n) {item} ?",
            "in {place} , what would i pay for a(n) {item} ?",
        ),
    ),
    Intent(
        "recommend",
        {"product": words.PRODUCTS, "group": words.GROUPS},
        (
            "which {product} is best for {group} ?",
            "what is the best {product} for {group} ?",
            "which {product} should {group} choose ?",
            "which {product} would you recommend to {group} ?",
        ),
    ),
    Intent(
        "reason",
        {"animals": words.ANIMALS, "action": words.ACTIONS},
        (
            "why do {animals} {action} ?",
            "how come {animals} {action} ?",
            "what makes {animals} {action} ?",
            "what causes {animals} to {action} ?",
            "what is the reason that {animals} {action} ?",
            "does anyone know why {animals} {action} ?",
        ),
    ),
    Intent(
        "duration",
        {"task": words.TASKS, "manner": words.MANNERS},
        (
            "how long does it take to {task} {manner} ?",
            "how much time does it take to {task} {manner} ?",
            "how much time do i need to {task} {manner} ?",
            "to {task} {manner} , how long would i need ?",
        ),
    ),
    Intent(
        "stop",
        {"vice": words.VICES, "moment": words.MOMENTS},
        (
            "how do i stop {vice} {moment} ?",
            "how can i keep myself from {vice} {moment} ?",
            "what can i do to stop {vice} {moment} ?",
            "what is the best way to stop {vice} {moment} ?",
            "i want to stop {vice} {moment} , what would help ?",
        ),
    ),
    Intent(
        "visit",
        {"place": words.PLACES, "month": words.MONTHS},
        (
            "what are the best places to visit in {place} in {month} ?",
            "which places should i visit in {place} in {month} ?",
            "which places in {place} are worth visiting in {month} ?",
            "where should i go in {place} in {month} ?",
            "i am in {place} in {month} , what should i see ?",
        ),
    ),
    Intent(
        "opinion",
        {"group": words.GROUPS, "issue": words.ISSUES},
        (
            "what do {group} think about {issue} ?",
            "how do {group} feel about {issue} ?",
            "what is the opinion of {group} on {issue} ?",
            "what opinion do {group} have of {issue} ?",
            "what are the views of {group} on {issue} ?",
        ),
    ),
)
