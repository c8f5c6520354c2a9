"""dlmone recipes: listed, printed as written and as resolved."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

ROOT = Path(__file__).parents[2]


def recipes(*args):
    result = CliRunner().invoke(main, ["recipes", *args])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list():
    listed = {one["name"]: one for one in json.loads(recipes("list", "--json"))}
    assert set(listed) >= {"qqp", "quasar_t", "wiki_auto"}
    assert listed["qqp"]["profiles"][0] == "quick"
    assert set(listed["qqp"]["profiles"]) == {"quick", "compact", "langflow", "paper"}
    plain = recipes("list").splitlines()
    assert recipes().splitlines() == plain
    assert [line.split()[0] for line in plain] == list(listed)


@pytest.mark.parametrize("name", ["qqp", str(ROOT / "recipes" / "qqp.toml")])
def test_show_as_written(name):
    assert recipes("show", name) == (ROOT / "recipes" / "qqp.toml").read_text()


def test_show_as_resolved():
    table = tomllib.loads(recipes("show", "qqp", "--profile", "paper", "--set", "stages.*.steps=7"))
    assert table["stages"]["stage-1"]["steps"] == 7
    assert table["stages"]["stage-2"]["estimator"]["beta2"] == 0.999
    assert "profiles" not in table


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_bytes(b"caf\xe9"), "cannot be read: it is not UTF-8 at byte 3"),
        (lambda path: path.symlink_to("nowhere.toml"), "a link to nowhere.toml, which is not there"),
        (os.mkfifo, "not a regular file, which a recipe is read from"),
    ],
)
def test_what_is_no_text_is_not_shown(tmp_path, make, sentence):
    make(tmp_path / "mine.toml")
    result = CliRunner().invoke(main, ["recipes", "show", str(tmp_path / "mine.toml")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path / 'mine.toml'}: {sentence}\n"
