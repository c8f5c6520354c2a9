"""dlmone/training/teacher.py: of several processes one decides about files that are there."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.registry import Registry, load_recipe
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.training import teacher as module
from dlmone.training.teacher import prepare_teacher


class Second(World):
    """The second of two processes, of which the first found a teacher, or none."""

    def __init__(self, found: bool) -> None:
        super().__init__(1, 2)
        object.__setattr__(self, "found", found)

    def agree(self, value: object) -> Any:
        return self.found  # type: ignore[attr-defined]

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        return lambda: None


@pytest.mark.parametrize("found", [True, False])
def test_the_main_process_decides_whether_the_teacher_is_pretrained(
    found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine the folder may appear later, or earlier: what this process sees does not count."""
    if not found:
        (tmp_path / "teacher").mkdir()
    monkeypatch.setenv("DLMONE_CACHE", str(tmp_path / "cache"))
    done: list[str] = []
    toy = toy_teacher()
    monkeypatch.setattr(module, "cache_key", lambda *_: "key")
    monkeypatch.setattr(module, "pretrain", lambda *_: done.append("pretrained"))
    monkeypatch.setattr(module, "load_teacher", lambda *_: done.append("loaded") or toy)
    compute = Compute(torch.device("cpu"), bfloat16=False, world=Second(found))
    session: Any = SimpleNamespace(
        compute=compute, run_dir=SimpleNamespace(path=tmp_path), registry=None, console=None
    )
    parts: Any = None
    prepare_teacher(
        session,
        load_recipe("qqp", registry=Registry.discover()).recipe,
        [],
        [],
        parts,
        {},
        lambda _: done.append("checked"),
    )
    assert done == (["loaded", "checked"] if found else ["pretrained", "loaded"])
