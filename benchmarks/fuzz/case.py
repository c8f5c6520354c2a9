"""A command on an input that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A command on an input that is wrong.

    Attributes:
        what: what is wrong with it.
        commands: run one after another in the scratch folder, as long as they succeed. What is wrong with the
            input should be said by the first.
        wrong: whether the input is surely an error, so that no command may succeed.
        own: beginnings of paths that the commands may change.
        input: what is on standard input.
    """

    what: str
    commands: Sequence[Sequence[str]]
    wrong: bool = False
    own: tuple[str, ...] = ()
    input: bytes = b""
