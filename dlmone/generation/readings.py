"""What a model keeps of texts: those that are cut, words that the vocabulary does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlmone.core import Codec, Example, InputError, Reading, Sample

#: Examples of a split that are looked at, evenly spaced: a survey waits for none of the larger splits.
MOST = 2000
#: A share of unknown tokens, or of targets that come back changed, that a user should know of.
NOTABLE = 0.01


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts over some examples of a split.

    Attributes:
        examples: how many were looked at.
        total: how many there are.
        sources_cut, targets_cut: examples of which the side is cut.
        tokens_cut: the tokens cut, both sides.
        tokens, unknown: tokens, and those that stand for anything unknown.
        recased, changed: targets that come back with another case, and with other letters.
        refused: examples that do not fit at all, and why the first of them does not.
    """

    examples: int
    total: int
    sources_cut: int = 0
    targets_cut: int = 0
    tokens_cut: int = 0
    tokens: int = 0
    unknown: int = 0
    recased: int = 0
    changed: int = 0
    refused: tuple[int, str] = (0, "")

    @property
    def cut(self) -> str:
        """What is cut, as a sentence's part; empty if nothing is."""
        if not self.tokens_cut:
            return ""
        sides = [("source", self.sources_cut), ("target", self.targets_cut)]
        counts = " and ".join(f"{count:,} {side}{'s' * (count > 1)}" for side, count in sides if count)
        share = self.tokens_cut / max(self.tokens, 1)
        return f"{counts} of {self._of} are too long and cut, by {self.tokens_cut:,} tokens ({share:.1%})"

    @property
    def notes(self) -> list[str]:
        """What a user should know before training on the data, a clause each."""
        found = [self.cut] if self.cut else []
        if self.refused[0]:
            found.append(f"{self.refused[0]:,} of {self._of} do not fit; the first: {self.refused[1]}")
        if self.unknown:
            found.append(f"{self.unknown / self.tokens:.2%} of the tokens are unknown to the vocabulary")
        for what, count in (("another case", self.recased), ("other letters", self.changed)):
            if count >= NOTABLE * self.examples:
                found.append(f"{count / self.examples:.0%} of the targets come back in {what}")
        return found

    @property
    def _of(self) -> str:
        of_all = "" if self.examples == self.total else f" looked at, of {self.total:,}"
        return f"{self.examples:,} examples{of_all}"


def survey(space: Codec, examples: Sequence[Example], most: int | None = MOST, alone: bool = False) -> Survey:
    """Read examples as a model does, and count what it does not see of them.

    Args:
        space: the model's.
        examples: a split.
        most: how many examples to look at; all if None.
        alone: read sources as for generation, where nothing depends on their references.
    """
    step = 1 if most is None else -(-len(examples) // most)
    looked = examples[:: max(step, 1)]
    readings: list[Reading] = []
    refused: list[str] = []
    recased = changed = 0
    for example in looked:
        try:
            reading = space.reading(example, alone=True) if alone else space.reading(example)
            batch = space.collate_conditions([example]) if alone else space.collate([example])
            [again] = space.reference_text(batch)
        except InputError as error:
            refused.append(str(error))
            continue
        readings += [reading] if reading else []
        if (read := _letters(again)) != (target := _letters(example.target)):
            recased += read.lower() == target.lower()
            changed += read.lower() != target.lower()
    return Survey(
        len(looked),
        len(examples),
        sources_cut=sum(one.source_cut > 0 for one in readings),
        targets_cut=sum(one.target_cut > 0 for one in readings),
        tokens_cut=sum(one.source_cut + one.target_cut for one in readings),
        tokens=sum(one.tokens for one in readings),
        unknown=sum(one.unknown for one in readings),
        recased=recased,
        changed=changed,
        refused=(len(refused), refused[0] if refused else ""),
    )


def _letters(text: str) -> str:
    """Return a text without its spaces, which tokenisers of words don't keep."""
    return "".join(text.split())


class CutSources:
    """Counts the sources of which a model read the beginning only, as they are generated for.

    Args:
        space: the model's.
    """

    def __init__(self, space: Codec) -> None:
        self.space = space
        self.ids: list[str] = []
        self.tokens = 0

    def look(self, samples: Sequence[Sample], sources: Mapping[str, str]) -> None:
        """Look at samples whose sources were given as ``sources``, by id."""
        for sample in samples:
            given = sources[sample.id]
            if _letters(sample.source).lower() == _letters(given).lower():
                continue  # read whole; no text is tokenised twice for nothing
            reading = self.space.reading(Example(sample.id, given, ""), alone=True)
            if reading and reading.source_cut:
                self.ids.append(sample.id)
                self.tokens += reading.source_cut

    @property
    def sentence(self) -> str:
        """What was cut, as a sentence; empty if nothing was."""
        if not self.ids:
            return ""
        first, count = self.ids[0], len(self.ids)
        cut = "the source of 1 text was" if count == 1 else f"the sources of {count:,} texts were"
        return f"{cut} too long and cut, by {self.tokens:,} tokens; the first is that of id {first}"
