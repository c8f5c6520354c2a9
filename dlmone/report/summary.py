"""Summarise a run in a few sentences from its final table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import measures
from .reading import RunData
from .systems import System, Systems, calls_of, scores_of

#: A correction is noted where it worsens a score by this factor more than the baselines'.
NOTED = 1.1


def in_short(runs: Sequence[RunData]) -> list[str]:
    """Return one or two sentences per run that compare the student with its teacher."""
    many = len(runs) > 1
    systems = {run.name: Systems.of(run.results) for run in runs}
    teachers = [one for found in systems.values() for one in found.role("teacher")]
    return [
        f"{name}: {text}" if many else text
        for name, found in systems.items()
        for text in (*_sentences(found, teachers), *_corrections(found))
    ]


def _sentences(systems: Systems, teachers: Sequence[System]) -> Iterator[str]:
    """Yield sentences that compare a student with its teacher at the highest NFE of any run on the page."""
    own, student = systems.teacher, systems.student
    if student is None or own is None:
        yield "The final table does not yet hold both a teacher and a student."
        return
    same = [one for one in teachers if one.row.provenance.model == own.row.provenance.model]
    teacher = max([own, *same], key=lambda one: one.row.calls or 0)
    scored = scores_of(systems.all)
    names = [name for name in (measures.quality(scored), measures.diversity(scored)) if name]
    both = [name for name in names if name in student.row.scores and name in teacher.row.scores]
    if not both:
        yield "Student and teacher have no score of quality in common."
        return
    reached = " and ".join(_beside(student, teacher, name) for name in both)
    # Another run's times were measured under another load of the machine.
    speed = _speed(student, teacher) if teacher in systems.all else ""
    yield (
        f"In {calls_of(student.row.calls or 0)} the {student.model} reaches {reached} "
        f"of the teacher in {calls_of(teacher.row.calls or 0)}{speed}."
    )
    name, direction = both[0], scored[both[0]].direction
    better = (one for one in systems.last_stage[1:] if _no_worse(one, teacher, name, direction))
    if (enough := next(better, None)) and not _no_worse(student, teacher, name, direction):
        value = measures.number(enough.row.scores[name].value)
        yield f"In {calls_of(enough.row.calls or 0)} its {name} is {value}, no worse than the teacher's."


def _corrections(systems: Systems) -> Iterator[str]:
    """Yield a sentence for each score of a system that its correction worsens by more than the baseline's."""
    for one in systems.plain:
        for name, score in one.row.scores.items():
            plain = score.corrects and one.row.scores.get(score.corrects)
            if not plain or not score.corrects:
                continue
            beside = [base for base in systems.baselines if name in base.row.scores]
            usual = max([1.0, *(_worsening(base, score.corrects, name) for base in beside)])
            if _worsening(one, score.corrects, name) > NOTED * usual:
                values = f"{measures.number(plain.value)}, but {name} {measures.number(score.value)}"
                others = "".join(
                    f"; {base.name}: {measures.number(base.row.scores[score.corrects].value)} "
                    f"and {measures.number(base.row.scores[name].value)}"
                    for base in beside
                )
                yield f"{one.name} has {score.corrects} {values}{others}."


def _worsening(one: System, plain: str, corrected: str) -> float:
    """Return the factor by which a corrected score is worse than the plain one."""
    before, after = one.row.scores[plain], one.row.scores[corrected]
    if min(before.value, after.value) <= 0:
        return 1.0
    return after.value / before.value if before.direction == "lower" else before.value / after.value


def _no_worse(student: System, teacher: System, name: str, direction: measures.Direction) -> bool:
    own, other = student.value(name), teacher.value(name)
    if own is None or other is None:
        return False
    return own <= other if direction == "lower" else own >= other


def _beside(student: System, teacher: System, name: str) -> str:
    own, other = student.row.scores[name], teacher.row.scores[name]
    interval = (
        f" ({measures.number(own.interval[0])}–{measures.number(own.interval[1])})" if own.interval else ""
    )
    return f"a {name} of {measures.number(own.value)}{interval} beside {measures.number(other.value)}"


def _speed(student: System, teacher: System) -> str:
    own, other = student.row.milliseconds_per_sample, teacher.row.milliseconds_per_sample
    return f", {other / own:.3g} times as fast" if own and other else ""
