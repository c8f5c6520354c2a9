"""The small grid, stopped and finished once for all tests of this folder."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from .small import BASE, PLUGIN, RECIPE, dlmone


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """Work in a folder, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("DLMONE_CACHE", str(path / "cache"))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid's recipe, with its plugin and its data."""
    path = tmp_path_factory.mktemp("work")
    (path / "grid.toml").write_text(RECIPE)
    shutil.copy(BASE, path)
    (path / "boom.py").write_text(PLUGIN)
    (path / "data").mkdir()
    words = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu", "hen"]
    triples = [words[i:] + words[:i] for i in range(8)]
    lines = [json.dumps({"src": " ".join(one[:3]), "trg": " ".join(one[2::-1])}) + "\n" for one in triples]
    for split, rows in (("train", lines), ("valid", lines[:4]), ("test", lines[4:])):
        (path / "data" / f"{split}.jsonl").write_text("".join(rows))
    return path


@pytest.fixture
def workplace(folder: Path) -> Iterator[Path]:
    """The folder, in which the test works."""
    with inside(folder):
        yield folder


@pytest.fixture(scope="session")
def stopped(folder: Path) -> Result:
    with inside(folder):
        return dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid")


@pytest.fixture(scope="session")
def finished(folder: Path, stopped: Result) -> Result:
    with inside(folder):
        return dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "grid", "--format", "json")


@pytest.fixture(scope="session")
def table(finished: Result) -> dict:
    return json.loads(finished.stdout)
