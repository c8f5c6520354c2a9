"""What surrounds a command can be odd too: streams, encodings, environment variables, paths, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.cli.shell import Settings, _exit_code, _interrupts_remembered
from dlmone.runtime.environment import process_number

LONG, NUL, USER = "x" * 5000, "a\0b", "~nouser/x"


def dlmone(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m dlmone {words}"
    given = {**os.environ, **environment}
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, errors="replace", env=given, timeout=200
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_a_terminal_that_lacks_characters(encoding):
    done = dlmone("plugins list", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u03b8" in done.stdout or "θ" in done.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [("recipes list <&-", 0), ("recipes list 2>&-", 0), ("recipes list >&-", 1), ("check x >&-", 2)],
)
def test_closed_streams(words, code):
    done = dlmone(words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_ctrl_c_at_any_time_is_one_line():
    for delay in (0.3, 0.6, 1.2):
        process = subprocess.Popen([sys.executable, "-m", "dlmone", "env"], stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=200)
        # Before Python runs any of dlmone's code it answers itself, by its own traceback.
        if "site.py" not in said and "frozen" not in said.partition("dlmone")[0]:
            assert "Traceback" not in said
            assert process.returncode in (0, 130, -signal.SIGINT), said


def test_an_interrupt_that_a_library_swallows_is_still_one(capsys):
    """NumPy, interrupted while torch imports it, is imported again, which it refuses by an ImportError."""

    def action():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise ImportError("cannot load module more than once per process")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _interrupts_remembered() as interrupts:
            code = _exit_code(action, Settings(), interrupts)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, capsys.readouterr().err) == (130, "interrupted\n")


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", "9" * 50, "4"])
@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_rubbish_in_the_environment(monkeypatch, name, text):
    from dlmone.core.errors import InputError

    monkeypatch.setenv(name, text)
    with pytest.raises(
        InputError, match=rf"the environment variable {name} is .*, where torchrun sets a number from 0 to 3"
    ):
        process_number(name, 0, most=3)


@pytest.mark.parametrize("path", [LONG, NUL, USER, "a/" * 3000])
@pytest.mark.parametrize(
    "words",
    [
        ["generate", "PATH", "text"],
        ["generate", "qqp-compact", "-i", "PATH"],
        ["generate", "qqp-compact", "text", "-o", "PATH"],
        ["evaluate", "PATH"],
        ["evaluate", "a.jsonl", "--against", "PATH"],
        ["report", "PATH"],
        ["report", "x", "-o", "PATH"],
        ["report", "x", "--figures", "PATH"],
        ["convert", "diffuseq", "PATH", "out"],
        ["convert", "diffuseq", "x", "PATH"],
        ["export", "PATH", "out"],
        ["export", "qqp-compact", "PATH"],
        ["export", "qqp-compact", "out", "--card", "PATH"],
        ["bench", "qqp", "-i", "PATH"],
        ["bench", "qqp-compact", "--graph", "PATH"],
        ["serve", "PATH", "--port", "0"],
        ["run", "qqp", "--run-dir", "PATH"],
        ["run", "qqp", "--resume", "PATH"],
        ["check", "PATH"],
        ["check", "qqp", "--plugin", "PATH"],
        ["check", "qqp", "--set", "data.use=jsonl", "--set", "data.path='PATH'"],
        ["check", "qqp", "--set", "teacher.path='PATH'"],
        ["recipes", "show", "PATH"],
    ],
)
def test_paths_that_no_file_has(tmp_path, monkeypatch, words, path):
    monkeypatch.chdir(tmp_path)
    text = path.replace("\0", "\\u0000") if "--set" in words else path
    quote = '"' if "--set" in words else "'"
    result = CliRunner().invoke(main, [word.replace("'", quote).replace("PATH", text) for word in words])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()[-1]) < 1500
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """A folder ``folder`` and a file ``file``, where the other kind is expected."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "generate qqp-compact -i folder",
        "generate qqp-compact text -o folder",
        "generate file text",
        "generate folder text",
        "evaluate folder",
        "evaluate file",
        "evaluate file --against folder",
        "evaluate file -o folder",
        "report file",
        "report folder",
        "convert diffuseq folder out",
        "convert diffuseq file out",
        "convert langflow folder out",
        "convert elf folder out",
        "convert diffuseq folder file",
        "export file out",
        "export folder out",
        "export qqp-compact file",
        "export qqp-compact folder",
        "export qqp-compact out --card folder",
        "bench file",
        "bench folder",
        "bench qqp-compact -i folder",
        "run folder",
        "run qqp --run-dir file",
        "run qqp --run-dir folder",
        "run qqp --resume file",
        "run qqp --resume folder",
        "check folder",
        "check file",
        "check qqp --plugin folder",
        "check qqp --set data={use='jsonl',path='file'}",
        "check qqp --set teacher={path='file'}",
        "check qqp --set teacher={path='folder'}",
        "check qqp --set teacher.tokenizer=folder",
        "check qqp --set teacher.tokenizer=file",
        "check qqp --set teacher.init_from=file",
        "ablate qqp --out file --vary seed=1,2",
        "ablate qqp --out folder --vary seed=1,2",
        "recipes show folder",
        "pull hub:a/b folder",
        "push file a/b",
        "push folder a/b",
    ],
)
def test_folders_and_files_in_each_others_place(mixed, monkeypatch, words):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert len(line) < 600
    assert (mixed / "file").read_text() == (mixed / "folder" / "inside.txt").read_text() == "mine"
    assert sorted(path.name for path in mixed.rglob("*")) == ["file", "folder", "inside.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ["check", ""],
        ["run", ""],
        ["recipes", "show", ""],
        ["generate", "", "text"],
        ["generate", "qqp-compact", "text", "-o", ""],
        ["generate", "qqp-compact", "-i", ""],
        ["evaluate", ""],
        ["evaluate", "file", "--against", ""],
        ["report", ""],
        ["report", ".", "-o", ""],
        ["bench", ""],
        ["export", "", "out"],
        ["export", "qqp-compact", ""],
        ["convert", "diffuseq", "", "out"],
        ["run", "qqp", "--run-dir", ""],
        ["check", "qqp", "--plugin", ""],
        ["push", "", "a/b"],
    ],
)
def test_an_empty_name_is_not_this_folder(mixed, words):
    (mixed / "recipe.toml").write_text("")  # the folder is a run's
    (mixed / "student").mkdir()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert "empty" in line
    assert {path.name for path in mixed.iterdir()} == {"folder", "file", "recipe.toml", "student"}
