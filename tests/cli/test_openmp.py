"""The command line's process tells OpenMP's waiting threads when to sleep, before torch loads OpenMP."""

import os
import subprocess
import sys

import pytest

from dlmone.cli.openmp import USERS, WAITING

#: Prints what the environment says at the moment that torch is first imported.
AT_IMPORT = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print({{name: os.environ.get(name) for name in {names}}})
            raise SystemExit
sys.meta_path.insert(0, Watch())
{code}
"""
COMMAND = "from dlmone.cli import main; main(['env'])"
LIBRARY = "import dlmone; dlmone.load"


def at_import(code, **variables):
    """What the variables are when ``code`` first imports torch."""
    own = {name: value for name, value in os.environ.items() if name not in USERS}
    script = AT_IMPORT.format(names=USERS, code=code)
    done = subprocess.run(
        [sys.executable, "-c", script], env={**own, **variables}, capture_output=True, text=True, check=True
    )
    return {name: value for name, value in eval(done.stdout).items() if value is not None}


def test_a_command_sets_it_before_torch_is_imported():
    assert at_import(COMMAND) == WAITING


@pytest.mark.parametrize("name", USERS)
def test_what_the_user_set_stays_as_it_is(name):
    assert at_import(COMMAND, **{name: "7"}) == {name: "7"}


def test_the_library_sets_nothing():
    assert at_import(LIBRARY) == {}
