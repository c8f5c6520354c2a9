"""dlmone/cli/completion.py: what a shell is offered after a command."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from dlmone.cli import main


@pytest.mark.parametrize(
    ("args", "incomplete", "wanted"),
    [
        (["run"], "qq", {"qqp"}),
        (["generate"], "qqp-c", {"qqp-compact", "qqp-compact-teacher"}),
        (["export"], "qqp-compact-", {"qqp-compact-teacher"}),
        (["plugins", "show"], "unigr", {"unigram"}),
        (["recipes", "show"], "wiki", {"wiki_auto"}),
        ([], "gen", {"generate"}),
    ],
)
def test_names_are_completed(args: list[str], incomplete: str, wanted: set[str]) -> None:
    shell = ShellComplete(main, {}, "dlmone", "_DLMONE_COMPLETE")
    found = {one.value for one in shell.get_completions(args, incomplete) if one.type == "plain"}
    assert found >= wanted
    assert all(name.startswith(incomplete) for name in found)


def test_a_shell_is_answered_and_nothing_else_is_said() -> None:
    asked = {"COMP_WORDS": "dlmone run qq", "COMP_CWORD": "2", "_DLMONE_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "dlmone"], env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["plain,qqp", "file,qq"]
    assert done.stderr == ""
