"""Show outputs for the same examples side by side, marked as valid or degenerate where known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dlmone.core.errors import DlmoneError
from dlmone.core.text.degeneration import is_copy, is_empty, repeats
from dlmone.core.text.evaluator import Evaluator, Sample, Score

from . import measures
from .measures import Measure
from .reading import RunData
from .systems import System, Systems

#: Number of examples shown, and of degenerate outputs shown per kind.
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Output:
    """One system's output for one example, with its marks."""

    system: str
    text: str
    marks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Example:
    """A source, its reference, and the systems' outputs."""

    id: str
    source: str
    reference: str
    outputs: Sequence[Output]


@dataclass(frozen=True, slots=True)
class Degenerate:
    """The shares of a system's outputs that are empty, repetitive or copies, with examples."""

    system: str
    drawn: int
    empty: int
    repetitive: int
    copied: int
    shown: Sequence[tuple[str, str]]

    @property
    def share(self) -> float:
        """The share of outputs that are empty or repetitive."""
        return (self.empty + self.repetitive) / self.drawn


def side_by_side(runs: Sequence[RunData], evaluators: Mapping[str, Mapping[str, Evaluator]]) -> list[Example]:
    """Return all systems' outputs for some examples, evenly spaced through the test split.

    For one run, these are its teacher at the highest NFE and every stage's student at every NFE. For several,
    these are the first run's teacher and each run's last student. Runs on other examples are skipped.
    """
    written = list(_written(runs))
    if not written:
        return []
    first = written[0][2]
    written = [one for one in written if _questions(one[2]) == _questions(first)]
    marks = [_marks(samples, evaluators.get(run.name, {})) for run, _, samples in written]
    names = [f"{run.name}: {system.name}" if len(runs) > 1 else system.name for run, system, _ in written]
    places = range(0, len(first), max(1, -(-len(first) // SHOWN)))
    return [
        Example(
            first[place].id,
            first[place].source,
            first[place].reference,
            [
                Output(name, samples[place].candidates[0], marked[place])
                for name, (_, _, samples), marked in zip(names, written, marks, strict=True)
            ],
        )
        for place in places
    ]


def degenerate(runs: Sequence[RunData]) -> list[Degenerate]:
    """Return the plain systems with any empty or repetitive outputs, the worst first."""
    found = []
    for run in runs:
        for system in Systems.of(run.results).plain:
            draws = run.written(system.row.provenance)
            if draws:
                name = f"{run.name}: {system.name}" if len(runs) > 1 else system.name
                found.append(_degenerate(name, draws.samples))
    return sorted((one for one in found if one.share), key=lambda one: -one.share)


def _degenerate(name: str, samples: Sequence[Sample]) -> Degenerate:
    texts = [(sample.source, text) for sample in samples for text in sample.candidates]
    bad = [(source, text) for source, text in texts if is_empty(text) or repeats(text)]
    return Degenerate(
        system=name,
        drawn=len(texts),
        empty=sum(is_empty(text) for _, text in texts),
        repetitive=sum(repeats(text) for _, text in texts),
        copied=sum(is_copy(text, source) for source, text in texts),
        shown=bad[: SHOWN // 2],
    )


def _written(runs: Sequence[RunData]) -> Iterator[tuple[RunData, System, list[Sample]]]:
    for place, run in enumerate(runs):
        systems = Systems.of(run.results)
        students = [one for group in systems.students.values() for one in group]
        if len(runs) > 1:
            students = [systems.student] if systems.student else []
        teacher = [systems.teacher] if systems.teacher and place == 0 else []
        for system in [*teacher, *students, *systems.role("other")]:
            if draws := run.written(system.row.provenance):
                yield run, system, draws.samples


def _questions(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    return [(sample.id, sample.source) for sample in samples]


def _marks(samples: Sequence[Sample], evaluators: Mapping[str, Evaluator]) -> list[list[str]]:
    """Return the marks of each first candidate: its signs of degeneration, then its quality."""
    firsts = [replace(sample, candidates=sample.candidates[:1]) for sample in samples]
    verdicts = _verdicts(firsts, evaluators)
    marks = []
    for place, sample in enumerate(firsts):
        text = sample.candidates[0]
        signs = {
            "empty": is_empty(text),
            "repeats": repeats(text),
            "copy": is_copy(text, sample.source),
            "the reference": is_copy(text, sample.reference),
        }
        marks.append([*(sign for sign, there in signs.items() if there), *verdicts[place : place + 1]])
    return marks


def _verdicts(firsts: Sequence[Sample], evaluators: Mapping[str, Evaluator]) -> list[str]:
    """Return right or wrong where an evaluator decides it, else the value of the quality score."""
    scores: dict[str, Score] = {}
    for evaluator in evaluators.values():
        if evaluator.candidates == 1:
            try:
                scores |= {score.name: score for score in evaluator.evaluate(firsts)}
            except DlmoneError:
                continue
    name = measures.quality(
        {name: Measure(one.direction, one.measures) for name, one in scores.items() if one.per_sample}
    )
    if name is None:
        return []
    values = scores[name].per_sample or ()
    if set(values) <= {0.0, 1.0}:
        return ["right" if value else "wrong" for value in values]
    return [f"{name} {value:.2f}" for value in values]
