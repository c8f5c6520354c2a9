"""A path or a name with a typo: every command names what is there."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

RECIPE = """
extends = "qqp"
data = { use = "files", path = "dat" }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "checkpoint", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "recipe.toml").touch()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "mine.py").touch()
    (tmp_path / "texts.jsonl").write_text('{"source": "a"}')


def said(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("check recip.toml", "recipe.toml"),
        ("check recipe", "recipe.toml"),
        ("check qpq", "qqp"),
        ("recipes show recip.toml", "recipe.toml"),
        ("generate rn text", "run"),
        ("generate qqp-compct text", "qqp-compact"),
        ("generate qqp-compact -i text.jsonl", "texts.jsonl"),
        ("export rn out", "run"),
        ("evaluate text.jsonl", "texts.jsonl"),
        ("report rn", "run"),
        ("run recipe.toml --resume rn", "run"),
        ("bench rn", "run"),
        ("bench qpq", "qqp"),
        ("bench qqp-compct", "qqp-compact"),
        ("bench recip.toml", "recipe.toml"),
        ("convert diffuseq checkpont out", "checkpoint"),
        ("check recipe.toml --plugin mne.py", "mine.py"),
    ],
)
def test_a_typo_is_told_what_is_there(words: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in said(*words.split())


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("data={use='files',path='dat'}", "data"),
        ("data={use='jsonl',path='dat'}", "data"),
        ("data={use='files',path='data',train='../text.jsonl'}", "data/../texts.jsonl"),
        ("teacher={path='rn'}", "run"),
    ],
)
def test_check_lists_what_is_missing_with_what_is_there(setting: str, meant: str) -> None:
    result = CliRunner().invoke(main, ["check", "recipe.toml", "--set", setting])
    assert result.exit_code == 0
    assert f"did you mean {meant!r}?" in result.stdout.partition("not ready")[2]


def test_a_tokenizer_of_nearly_a_plugins_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    line = said("check", "qqp", "--set", "teacher.tokenizer=wrods")
    assert line.startswith("error: tokenizer: there is no model folder 'wrods'")
    assert line.endswith("; or did you mean the tokenizer 'words'?")
