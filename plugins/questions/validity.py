"""Score text without a source by the grammar, which decides exactly what is a row of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Literal

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Evaluator, Sample, Score, require_candidates

from .grammar import VERSION, Reading, normalise, parse, readings
from .intents import INTENTS
from .options import Rows


class QuestionTextEvaluator(Evaluator):
    """Score the first candidate of each sample as a row of the data source ``question_text``.

    - ``validity``: the share of outputs that are a row: one question, or with ``rows = "wrapped"`` as many
      words as a row has, all of them whole questions but for a first that may lack its beginning and a last
      that may lack its end.
    - ``sentence_coverage``: distinct whole questions in valid outputs, divided by those in the references.
      Of rows that are one question each, 1 is the most.
    - ``unit_coverage``: the share of the grammar's forms and fillers that those questions have.

    A sample's part of a coverage is shared with the other samples that have the same sentence or unit, so
    that the parts add up to it.
    """

    def __init__(self, options: Rows) -> None:
        self.options = options

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the samples.

        Raises:
            InputError: there are none, one has no candidate, or a reference is no row of the grammar.
        """
        require_candidates(samples, "question_text")
        known = [self._questions(sample.reference) for sample in samples]
        for sample, found in zip(samples, known, strict=True):
            if found is None:
                raise InputError(
                    f"question_text: the reference of sample {sample.id!r} is no row of the grammar "
                    f"({self._kind()}): {sample.reference!r}."
                )
        outputs = [self._questions(sample.candidates[0]) for sample in samples]
        written = [frozenset(found or ()) for found in outputs]
        units = [frozenset(unit for one in found for unit in _units(one)) for found in written]
        references = {one for found in known for one in found or ()}
        return [
            self._score("validity", [found is not None for found in outputs]),
            self._score("sentence_coverage", _shares(written, max(len(references), 1))),
            self._score("unit_coverage", _shares(units, _unit_count())),
        ]

    def _questions(self, text: str) -> list[Reading] | None:
        """Return the whole questions of a row, None if the text is no row."""
        if self.options.rows == "sentences":
            reading = parse(text)
            return None if reading is None else [reading]
        words = normalise(text).split()
        return wrapped_questions(words) if len(words) == self.options.words else None

    def _score(self, name: str, values: Iterable[float]) -> Score:
        row = self._kind().replace(" ", "-")
        signature = f"metric:{name}|grammar:{VERSION}|rows:{row}|candidates:1|dlmone:{version('dlmone')}"
        numbers = tuple(map(float, values))
        measures: Literal["quality", "diversity"] = "quality" if name == "validity" else "diversity"
        return Score(name, sum(numbers) / len(numbers), signature, "higher", numbers, measures)

    def _kind(self) -> str:
        wrapped = self.options.rows == "wrapped"
        return f"wrapped {self.options.words}" if wrapped else "sentences"


def wrapped_questions(words: Sequence[str]) -> list[Reading] | None:
    """Return the whole questions of running text, None if it cannot be cut from the grammar's questions."""
    ends = [place + 1 for place, word in enumerate(words) if word == "?"]
    starts = [0, *ends]
    parts = [" ".join(words[start:end]) for start, end in zip(starts, [*ends, len(words)], strict=True)]
    *whole, last = parts
    if not whole or (last and last not in _pieces()[0]):
        return None
    if whole[0] not in _pieces()[1]:
        return None
    found = [parse(part) for part in whole]
    if None in found[1:]:
        return None
    return [reading for reading in found if reading is not None]


@cache
def _pieces() -> tuple[frozenset[str], frozenset[str]]:
    """Return all beginnings and all endings of questions, whole ones among the endings."""
    beginnings, endings = set(), set()
    for sentence in readings():
        words = sentence.split()
        beginnings |= {" ".join(words[:cut]) for cut in range(1, len(words))}
        endings |= {" ".join(words[cut:]) for cut in range(len(words))}
    return frozenset(beginnings), frozenset(endings)


def _units(reading: Reading) -> set[tuple[object, ...]]:
    """Return a question's form and fillers, each with its place."""
    name = reading.intent.name
    return {(name, "form", reading.form), *((name, *part) for part in enumerate(reading.fillers))}


def _unit_count() -> int:
    return sum(len(intent.forms) + sum(map(len, intent.slots.values())) for intent in INTENTS)


def _shares(found: Sequence[frozenset[object]], whole: int) -> list[float]:
    """Return each sample's part of (distinct things found)/whole, times the number of samples."""
    counts = Counter(thing for things in found for thing in things)
    return [len(found) * sum(1 / counts[thing] for thing in things) / whole for things in found]
