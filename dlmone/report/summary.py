"""The run in a few sentences, from its final table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import measures
from .reading import RunData
from .systems import System, Systems, calls_of, scores_of


def in_short(runs: Sequence[RunData]) -> list[str]:
    """Return a sentence or two for each run: the student beside its teacher."""
    many = len(runs) > 1
    return [f"{run.name}: {text}" if many else text for run in runs for text in _sentences(run)]


def _sentences(run: RunData) -> Iterator[str]:
    systems = Systems.of(run.results)
    teacher, student = systems.teacher, systems.student
    if student is None or teacher is None:
        yield "The final table does not yet hold both a teacher and a student."
        return
    directions = scores_of(systems.all)
    names = [name for name in (measures.quality(directions), measures.diversity(directions)) if name]
    parts = [
        _beside(student, teacher, name)
        for name in names
        if name in student.row.scores and name in teacher.row.scores
    ]
    speed = _speed(student, teacher)
    reached = f"In {calls_of(student.row.calls or 0)} the {student.model} reaches {' and '.join(parts)}"
    yield f"{reached} of the teacher in {calls_of(teacher.row.calls or 0)}{speed}."
    for other in systems.last_stage[1:]:
        name = names[0]
        value, wanted = other.value(name), teacher.value(name)
        if (
            value is not None
            and wanted is not None
            and value >= wanted > (student.value(name) or 0)
            and directions[name] == "higher"
        ):
            reached = f"In {calls_of(other.row.calls or 0)} its {name} is {measures.number(value)}"
            yield f"{reached}, no less than the teacher's."
            break


def _beside(student: System, teacher: System, name: str) -> str:
    own, other = student.row.scores[name], teacher.row.scores[name]
    interval = (
        f" ({measures.number(own.interval[0])}–{measures.number(own.interval[1])})" if own.interval else ""
    )
    return f"a {name} of {measures.number(own.value)}{interval} beside {measures.number(other.value)}"


def _speed(student: System, teacher: System) -> str:
    own, other = student.row.milliseconds_per_sample, teacher.row.milliseconds_per_sample
    return f", {other / own:.3g} times as fast" if own and other else ""
