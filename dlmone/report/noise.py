"""Show what the teacher's estimate decodes to, call by call, above the student's for the same noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dlmone.evaluation.results import NoiseToText

from .reading import RunData
from .systems import Systems, calls_of
from .tables import Cell, Table

#: The most network calls that are shown, evenly spaced; the first and the last are among them.
SHOWN = 8


def noise_to_text(runs: Sequence[RunData]) -> list[Table]:
    """Return a table for each run that followed its teacher: calls down, examples across."""
    return [_table(run, run.followed, len(runs) > 1) for run in runs if run.followed]


def _words(texts: Iterable[str]) -> list[Cell]:
    return [Cell(text, mark="words") for text in texts]


def _table(run: RunData, followed: NoiseToText, named: bool) -> Table:
    count = len(followed.texts[0])
    shown = sorted({round(place * (count - 1) / max(SHOWN - 1, 1)) for place in range(SHOWN)})
    rows = [
        [Cell(f"call {place + 1} of {count}"), *_words(texts[place] for texts in followed.texts)]
        for place in shown
    ]
    rows += _student(run, followed)
    title = f"{run.name}: from noise to text" if named else "From noise to text"
    return Table(title, ["", *followed.sources], rows, left=True)


def _student(run: RunData, followed: NoiseToText) -> Iterator[list[Cell]]:
    """Yield the row of the last student's outputs for the same examples, in as few calls as it has."""
    student = Systems.of(run.results).student
    draws = run.written(student.row.provenance) if student else None
    if student is None or draws is None:
        return
    texts = {sample.id: sample.candidates[0] for sample in draws.samples}
    heading = f"{student.model}, {calls_of(student.row.calls or 0)}"
    yield [Cell(heading), *_words(texts.get(id, "") for id in followed.ids)]
