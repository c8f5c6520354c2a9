"""What surrounds every command: quick help, failures as one sentence, exit codes."""

import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner

from dlmone.cli import COMMANDS, main
from dlmone.cli.shell import Shell
from dlmone.core.errors import DlmoneError, InputError, PluginError
from dlmone.runtime.interrupts import Interrupted

LISTED = """
import sys
from dlmone.cli import main
try: main({args})
finally: print(*sys.modules, file=sys.stderr)
"""


def sentence(result, code):
    """The one line on standard error of a command that failed."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("args", [["--help"], ["plugins", "list"], ["recipes", "list"]])
def test_light_commands_import_no_torch(args):
    code = LISTED.format(args=args)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    imported = {name.partition(".")[0] for name in done.stderr.split()}
    assert not {"torch", "numpy", "transformers", "tokenizers", "safetensors"} & imported
    if args == ["--help"]:
        assert not {"pydantic", "pluggy", "rich", "tomli_w", "filelock"} & imported


def test_help_names_every_command():
    result = CliRunner().invoke(main, ["-h"])
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)
    assert CliRunner().invoke(main, []).stdout == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage: dlmone" in result.stdout


def test_version():
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("dlmone ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["frob"], "No such command 'frob'"),
        (["--frob"], "No such option '--frob' (see dlmone --help)"),
        (["run", "--frob"], "No such option '--frob' (see dlmone run --help)"),
        (["run"], "Missing argument 'RECIPE' (see dlmone run --help)"),
        (["generate", "model", "--steps", "0"], "Invalid value for '--steps'"),
        (["plugins", "frob"], "No such command 'frob'"),
    ],
)
def test_usage_errors(args, message):
    assert sentence(CliRunner().invoke(main, args), 2).startswith(f"error: {message}")


@pytest.mark.parametrize("command", ["run", "check", "pretrain"])
@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["qpq"], 2, "qpq: there is no such recipe; did you mean 'qqp'?"),
        (["qqp", "--profile", "papier"], 2, "there is no profile 'papier'; did you mean 'paper'?"),
        (["qqp", "--set", "stages"], 2, "--set stages: expected KEY=VALUE"),
        (["qqp", "--set", "stages.stage-1.stps=3"], 2, "unknown key; did you mean 'steps'?"),
        (["qqp", "--set", "stages.*.steps=0"], 2, "--set: stages.start.steps: expected a number greater"),
        (["qqp", "--set", "teacher.use=difuseq"], 3, "no teacher 'difuseq'; did you mean 'diffuseq'?"),
        (["qqp", "--plugin", "nowhere.py"], 2, "there is no such plugin file"),
    ],
)
def test_wrong_recipes(command, args, code, message):
    result = CliRunner().invoke(main, [command, *args])
    assert result.exit_code == code
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert message in first
    # A wildcard can make one mistake in several places.
    assert bool(rest) == ("*" in "".join(args))


def shell_with(action):
    """The shell with one command more that does ``action``."""
    shell = Shell(commands_of=("dlmone.cli", ()), callback=click.pass_context(set_traceback))
    shell.params.append(click.Option(["--traceback"], is_flag=True))
    shell.get_command = lambda context, name: click.Command("act", callback=action)
    return shell


def set_traceback(context, traceback):
    context.obj.traceback = traceback


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DlmoneError("it failed"), 1, "error: it failed"),
        (InputError("wrong file"), 2, "error: wrong file"),
        (PluginError("no plugin"), 3, "error: no plugin"),
        (InputError(f"no column {'x' * 5000!r} here"), 2, f"error: no column '{'x' * 499}… here"),
        (Interrupted("stopped at 3"), 130, "stopped at 3"),
        (OSError(28, "No space left on device", "x.json"), 1, "error: x.json: No space left on device"),
        (
            ZeroDivisionError("one\ntwo"),
            1,
            "error: internal error: ZeroDivisionError: one two (run again with dlmone --traceback ...)",
        ),
    ],
)
def test_failures_are_one_line_without_a_traceback(error, code, line):
    assert sentence(CliRunner().invoke(shell_with(raising(error)), ["act"]), code) == line


def test_ctrl_c_anywhere():
    result = CliRunner().invoke(shell_with(raising(KeyboardInterrupt())), ["act"])
    assert result.exit_code == 130
    assert result.stderr.split() == ["interrupted"]


@pytest.mark.parametrize("how", ["option", "environment"])
def test_traceback_on_demand(how, monkeypatch, tmp_path):
    args = ["evaluate", str(tmp_path / "missing.jsonl")]
    if how == "environment":
        monkeypatch.setenv("DLMONE_TRACEBACK", "1")
    result = CliRunner().invoke(main, args if how == "environment" else ["--traceback", *args])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_warnings_are_one_plain_line():
    result = CliRunner().invoke(shell_with(lambda: warnings.warn("odd\n thing", stacklevel=1)), ["act"])
    assert result.exit_code == 0
    assert result.stderr == "warning: odd thing\n"


def test_a_reader_that_goes_away_is_no_news():
    command = f"{sys.executable} -m dlmone recipes show qqp | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
