"""benchmarks/fuzz: a slice of it, and that it finds what it looks for."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_some_wrong_inputs_of_each_kind():
    """`python benchmarks/fuzz --seed N` tries a thousand others."""
    command = [sys.executable, str(BENCHMARKS / "fuzz"), "--seed", "0", "--count", "40"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[-6:-1]] == ["0"] * 5


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from fuzz import processes

    monkeypatch.setattr(processes, "SECONDS", 3)
    monkeypatch.setattr(processes, "PATIENCE", 30)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os; os.unlink('notes.txt')", "notes.txt was lost"),
        ("open('notes.txt', 'a').write('x')", "notes.txt was changed"),
        ("while True: pass", "no end"),
        ("import time; time.sleep(1000)", "no end"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the process crashed"),
        ("open('.new-staging-1', 'w')", ".new-staging-1 is left"),
        ("import click; click.echo('Traceback (most', err=True)", "said 'Traceback'"),
        ("", ""),
    ],
)
def test_what_is_not_answered_well_is_found(tmp_path, code, found):
    from fuzz.case import Case
    from fuzz.processes import tried

    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("one\n")
    (root / "bad.py").write_text(code)
    case = Case("", [["plugins", "list", "--plugin", "bad.py"]])
    [(_, outcome)] = tried([lambda: case], root)
    assert [one.partition(" (")[0].partition(":")[0] for one in outcome.findings] == (
        [found] if found else []
    )


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ([(0, "", "")], "ended with code 0 on an input that is wrong"),
        ([(1, "", "ValueError: x")], "raised ValueError: x"),
        ([(2, "", "")], "no sentence"),
        ([(2, "error: internal error: x", "")], "said 'internal error'"),
        ([(2, "error: " + "x" * 5000, "")], "a sentence of 5007 characters"),
        ([(9, "error: x", "")], "ended with code 9"),
        ([(0, "", ""), (2, "error: x", "")], "passed the check and not the run"),
        ([(2, "error: x", "")], ""),
    ],
)
def test_how_an_end_is_read(results, found):
    from fuzz.case import Case
    from fuzz.outcome import found_in

    findings = [*found_in(Case("", [], wrong=len(results) == 1), results)]
    assert any(found in one for one in findings) if found else not findings
