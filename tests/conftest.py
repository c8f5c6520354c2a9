"""What the tests share: the toy teacher, and how a contract check is expected to complain."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from hypothesis import settings

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


@pytest.fixture
def finds() -> Callable[[str], AbstractContextManager[object]]:
    """``with finds(sentence)``: a check raises AssertionError with this in its text."""
    return lambda sentence: pytest.raises(AssertionError, match=re.escape(sentence))
