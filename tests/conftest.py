"""What the tests share: the toy teacher, a run's models, and how a contract check is expected to complain."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from dlmone.core import Example
from dlmone.models.folder import publish
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.testing import ToyTeacher, toy_teacher

if not torch.cuda.is_available():
    # Read when Triton is first imported, which libraries do too.
    os.environ["TRITON_INTERPRET"] = "1"

# A busy machine is no reason for a law to fail.
settings.register_profile("dlmone", deadline=None)
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


@pytest.fixture
def finds() -> Callable[[str], AbstractContextManager[object]]:
    """``with finds(sentence)``: a check raises AssertionError with this in its text."""
    return lambda sentence: pytest.raises(AssertionError, match=re.escape(sentence))
