"""Toy teachers with one fault each."""

from collections.abc import Callable
from typing import Any

from dlmone.testing import ToyTeacher, toy_teacher
from dlmone.testing.toy import EXAMPLES


def patched(place: str, change: Callable[..., Any]) -> Callable[[], ToyTeacher]:
    """Build toys whose method at ``place`` is ``change(toy, right answer, *its arguments)``."""

    def build() -> ToyTeacher:
        toy = toy_teacher()
        *path, name = place.split(".")
        part = getattr(toy, path[0]) if path else toy
        right = getattr(part, name)

        def wrong(*args: Any, **named: Any) -> Any:
            return change(toy, right(*args, **named), *args)

        setattr(part, name, wrong)
        return toy

    return build


def of(family: type[ToyTeacher]) -> Callable[[], ToyTeacher]:
    return lambda: family.build(toy_teacher().options, EXAMPLES)
