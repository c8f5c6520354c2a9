"""The teachers' cache and a run's own teacher: what is altered is noticed, and alters nothing else."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main

TINY = Path(__file__).parents[1] / "tiny.toml"


def pretrain(run: Path, *words: str) -> Result:
    return CliRunner().invoke(
        main, ["pretrain", str(TINY), *(words or ("--run-dir", str(run))), "--device", "cpu"]
    )


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has trained a teacher, with a cache beside it."""
    root = tmp_path_factory.mktemp("cached")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(root / "cache"))
        assert pretrain(root / "first").exit_code == 0
    return root / "first"


@pytest.fixture(autouse=True)
def cache(first: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLMONE_CACHE", str(first.parent / "cache"))
    [cached] = (one for one in (first.parent / "cache" / "teachers").iterdir() if one.is_dir())
    return cached


def test_a_runs_teacher_is_its_own(first: Path, cache: Path, tmp_path: Path) -> None:
    answer = pretrain(tmp_path / "run")
    assert "taken from the cache" in answer.stderr
    whole = weights(first / "teacher")
    assert weights(tmp_path / "run" / "teacher") == whole
    (tmp_path / "run" / "teacher" / "model.safetensors").write_bytes(b"")
    (tmp_path / "run" / "teacher" / "README.md").write_text("mine")
    assert weights(cache) == weights(first / "teacher") == whole
    assert (cache / "README.md").read_text() != "mine"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_entry_is_trained_anew(cache: Path, first: Path, tmp_path: Path, name: str) -> None:
    damaged = bytearray((cache / name).read_bytes())
    damaged[-1] ^= 1
    (cache / name).write_bytes(damaged)
    answer = pretrain(tmp_path / "run")
    assert answer.exit_code == 0
    assert "is incomplete or was altered, and is not used" in " ".join(answer.stderr.split())
    assert "taken from the cache" not in answer.stderr
    assert weights(tmp_path / "run" / "teacher") == weights(cache) == weights(first / "teacher")
    assert "taken from the cache" in pretrain(tmp_path / "again").stderr


def test_a_run_does_not_go_on_from_an_altered_teacher(first: Path, tmp_path: Path) -> None:
    assert pretrain(tmp_path / "run").exit_code == 0
    assert pretrain(tmp_path, "--resume", str(tmp_path / "run")).exit_code == 0
    altered = bytearray(weights(first / "teacher"))
    altered[-1] ^= 1
    (tmp_path / "run" / "teacher" / "model.safetensors").write_bytes(altered)
    answer = pretrain(tmp_path, "--resume", str(tmp_path / "run"))
    assert answer.exit_code == 2
    assert "teacher is not the model that this run began from" in answer.stderr
