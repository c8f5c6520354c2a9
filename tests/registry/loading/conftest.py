"""The small recipe, in a folder of its own."""

from pathlib import Path

import pytest

from .small import SMALL, write


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.toml", SMALL)
