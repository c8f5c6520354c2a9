"""What a process is told of its surroundings."""

import os

import pytest

from dlmone.runtime.environment import other_work


@pytest.mark.parametrize(("load", "words"), [(0.1, ""), (2.9, ""), (3.2, "3 processes want its 2 cores")])
def test_a_machine_is_busy_when_more_processes_want_its_cores(
    monkeypatch: pytest.MonkeyPatch, load: float, words: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 50.0, 50.0))
    assert other_work() == words
