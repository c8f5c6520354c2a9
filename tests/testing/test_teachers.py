"""dlmone.testing.check_teacher finds what a teacher's folder would lose, and says so."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dlmone.testing import ToyTeacher, check_teacher
from dlmone.testing.toy import EXAMPLES

from .faults import of, patched
from .finds import Finds


class Reset(ToyTeacher):
    """Restores without its options."""

    def config(self) -> dict[str, Any]:
        return {**super().config(), "length": 12}


class Unordered(ToyTeacher):
    """Saves its words in another order."""

    def assets(self) -> dict[str, bytes]:
        return {"words.txt": "\n".join(sorted(self.space.words, reverse=True)).encode()}


class Extra(ToyTeacher):
    """Has weights beside those of its space and its network."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.scale = nn.Parameter(torch.ones(1))


class Sharing(ToyTeacher):
    """Its network holds the space, as one does that reads the embedding table."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.space.scale = nn.Parameter(torch.ones(1))
        self.network.space = self.space


TEACHERS: dict[str, Callable[[], ToyTeacher]] = {
    "config() must hold JSON values only": patched("config", lambda _, right: right | {"width": (4,)}),
    "assets() may not name a file 'config.json'": patched(
        "assets", lambda _, right: right | {"config.json": b""}
    ),
    "a restored teacher tokenises otherwise": of(Unordered),
    "space and network only; ['scale'] would be lost": of(Extra),
}


@pytest.mark.parametrize("sentence", TEACHERS)
def test_teachers(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(TEACHERS[sentence], EXAMPLES)


def test_a_network_may_share_what_is_the_spaces() -> None:
    check_teacher(of(Sharing), EXAMPLES)


def test_a_teacher_that_cannot_be_restored_is_told_by_its_own_error() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        check_teacher(of(Reset), EXAMPLES)
