"""registry/explain.py, `nearest_path`: a path that is not there is told what is."""

from pathlib import Path

import pytest

from dlmone.registry.explain import nearest_path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run/student", "run/teacher", "data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("recipe.toml", "run/samples.jsonl"):
        (tmp_path / name).touch()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("recip.toml", "recipe.toml"),
        ("recipe", "recipe.toml"),
        ("./recipe.tml", "recipe.toml"),
        ("rn/student", "run/student"),
        ("run/studnt", "run/student"),
        ("run/samples", "run/samples.jsonl"),
        ("qqp-compct", "qqp-compact"),
    ],
)
def test_the_nearest_is_named(text: str, meant: str) -> None:
    assert nearest_path(text, ["qqp-compact"]) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("text", ["rn/studnt/deep", "x" * 5000, "a\0b", "~nouser/x", "/proc/1/x/y", ""])
def test_where_nothing_is_near_names_are_listed(text: str) -> None:
    assert nearest_path(text) == ""
    assert nearest_path(text, ["b", "a"]) == "; known here: a, b"


def test_an_absolute_path_stays_one(tmp_path: Path) -> None:
    assert nearest_path(str(tmp_path / "dat")) == f"; did you mean {str(tmp_path / 'data')!r}?"
