"""What the tests share: the toy teacher, a run's models, and how a contract check is expected to complain."""

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from dlmone.core import Example, InputError
from dlmone.models.folder import publish
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.runtime.distributed import World
from dlmone.testing import ToyTeacher, toy_teacher

if not torch.cuda.is_available():
    # Read when Triton is first imported, which libraries do too.
    os.environ["TRITON_INTERPRET"] = "1"

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes with several OpenMP threads each wait for one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules of long tests, so that no process ends with one alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# A busy machine is no reason for a law to fail; and where CI judges a change, all changes get the same draws.
settings.register_profile("dlmone", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("dlmone")


@pytest.fixture(scope="session")
def toy() -> ToyTeacher:
    """φ in float64, as finite differences need it, and frozen; tests copy it and leave it as it is."""
    return toy_teacher().double()


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DiffuSeqTeacher], Path]:
    """Make what a run leaves of its models: ``teacher/`` and ``student/``, here of the same weights."""

    def publish_both(teacher: DiffuSeqTeacher) -> Path:
        path = tmp_path_factory.mktemp("run")
        publish(path / "teacher", teacher, "diffuseq", "teacher", "card")
        facts = {"t_init": 1490, "unit_input": False}
        publish(path / "student", teacher, "diffuseq", "student", "card", student=facts)
        (path / "recipe.toml").write_text("")
        return path

    return publish_both


@pytest.fixture(scope="session")
def tiny_run(run_of: Callable[[DiffuSeqTeacher], Path]) -> Path:
    """A run of a few words."""
    options = DiffuSeqOptions(
        seq_len=16, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
    )
    sources = ["how do i learn ?", "what is it ?", "how is it ?"]
    examples = [Example(str(i), source, "what is it") for i, source in enumerate(sources)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        teacher = DiffuSeqTeacher.build(options, examples)
    return run_of(teacher)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, str]]:
    """Install a package into a folder of its own, as pip does, and return an environment that sees it."""

    @functools.cache
    def install(package: Path) -> dict[str, str]:
        for tool in ("pip", "setuptools"):
            if find_spec(tool) is None:
                pytest.skip(f"installing without a network takes {tool}, which is not here")
        place = tmp_path_factory.mktemp(package.name)
        copy = shutil.copytree(package, place / "source")
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", place / "site"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, copy], check=True, timeout=120)
        return {
            **os.environ,
            "PYTHONPATH": str(place / "site"),
            "DLMONE_CACHE": str(place / "cache"),
            "OMP_NUM_THREADS": "1",
        }

    return install


class Together(World):
    """A process that is a thread: what several gather, they gather through a list."""

    box: list[Any]
    barrier: threading.Barrier

    def __init__(self, rank: int, box: list[Any], barrier: threading.Barrier) -> None:
        super().__init__(rank, len(box))
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "barrier", barrier)

    def gather(self, value: Any) -> list[Any]:
        self.box[self.rank] = value
        self.barrier.wait(60)
        values = list(self.box)
        self.barrier.wait(60)
        return values

    def agree(self, value: Any) -> Any:
        return self.gather(value)[0]

    def begin_sum(self, values: Tensor) -> Callable[[], None]:
        values.copy_(torch.stack(self.gather(values.clone())).sum(0))
        return lambda: None


@pytest.fixture(scope="session")
def shards() -> None:
    """Skip where this PyTorch can't shard networks."""
    from dlmone.runtime.sharding import check_version

    try:
        check_version()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture
def together() -> Callable[[int], list[World]]:
    """``together(count)``: processes that are threads of a test, each of which must run in its own."""

    def worlds(count: int) -> list[World]:
        box, barrier = [None] * count, threading.Barrier(count)
        return [Together(rank, box, barrier) for rank in range(count)]

    return worlds


@pytest.fixture
def finds() -> Callable[[str], AbstractContextManager[object]]:
    """``with finds(sentence)``: a check raises AssertionError with this in its text."""
    return lambda sentence: pytest.raises(AssertionError, match=re.escape(sentence))
