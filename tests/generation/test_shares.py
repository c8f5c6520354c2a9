"""Several processes generate what one does: the same batches, the same bytes, in order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

pytestmark = pytest.mark.slow

SOURCES = ["how do i learn ?", "what is it ?", "how is it ?"]

# An output tells how many rows its batch had and that they were augmented; a process can end itself with
# SIGKILL at a call of its own choice.
PLUGIN = """
import os, signal
from dataclasses import replace
from dlmone.core import Augmenter
from dlmone.registry import hookimpl

class Shaped(Augmenter):
    calls = 0

    def __init__(self, options):
        pass

    def augment(self, batch, space, noise):
        Shaped.calls += 1
        if f"{os.environ.get('RANK', '0')}:{Shaped.calls}" == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        target_BL = batch.target_BL.clone()
        target_BL[:, -len(batch):] = False
        return replace(batch, target_BL=target_BL)

@hookimpl
def register_augmenters(register):
    register("shaped", f"{__name__}:Shaped")
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "shaped.py"
    path.write_text(PLUGIN)
    return path


def rows(folder: Path, count: int) -> Path:
    """A file of texts, one of which does not fit."""
    texts = [SOURCES[number % 3] if number != 4 else "how " * 30 for number in range(count)]
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps({"id": f"x{n}", "src": text}) + "\n" for n, text in enumerate(texts)))
    return path


def alone(*args: object) -> str:
    result = CliRunner().invoke(main, ["generate", *map(str, args)])
    assert result.exit_code in (0, 2), result.output
    return result.stdout


def shared(
    processes: int, *args: object, kill_at: str = "", text: str = ""
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    command += ["-m", "dlmone", "generate", *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KILL_AT": kill_at}
    return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, timeout=240)


def test_processes_share_the_rows_of_a_file(tiny_run: Path, tmp_path: Path, plugin: Path) -> None:
    """Here an uneven number of rows, in the last round of which a process has none."""
    count = 14
    settings = (tiny_run, "-i", rows(tmp_path, count), "--batch", 3, "--candidates", 2)
    settings += ("--plugin", plugin, "--augment", "shaped")
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    alone(*settings, "-o", whole)
    answer = shared(3, *settings, "-o", parts)
    assert parts.read_bytes() == whole.read_bytes()
    assert len(parts.read_text().splitlines()) == count - 1
    assert answer.stderr.count(f"1 of {count} texts") + answer.stderr.count("example x4: its source") == 1
    other = tmp_path / "other.jsonl"
    alone(*settings[:4], 2, *settings[5:], "-o", other)
    assert other.read_bytes() != whole.read_bytes(), "the plugin shows no difference between batches"


def test_a_killed_group_leaves_whole_lines_and_is_resumed(
    tiny_run: Path, tmp_path: Path, plugin: Path
) -> None:
    settings = (tiny_run, "-i", rows(tmp_path, 20), "--batch", 3, "--plugin", plugin, "--augment", "shaped")
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    alone(*settings, "-o", whole)
    killed = shared(2, *settings, "-o", parts, kill_at="1:2")
    assert killed.returncode != 0
    lines = whole.read_text().splitlines(keepends=True)
    assert parts.read_text() == "".join(lines[:5]), "two batches of three, less the one that does not fit"
    # A line within the next batch: what is left of it is generated in the batch that it belongs to.
    parts.write_text("".join(lines[:7]))
    resumed = shared(2, *settings, "-o", parts, "--resume")
    assert parts.read_bytes() == whole.read_bytes(), resumed.stderr
    assert "another process is writing" not in resumed.stderr


def test_lines_of_a_pipe_are_read_once_and_answered_in_order(tiny_run: Path) -> None:
    text = "".join(f"{SOURCES[number % 3]}\n" for number in range(7))
    args = ["generate", str(tiny_run), "--batch", "2", "-o", "-"]
    expected = CliRunner().invoke(main, args, input=text).stdout
    assert len(expected.splitlines()) == 7
    answer = shared(2, tiny_run, "--batch", 2, "-o", "-", text=text)
    assert (answer.returncode, answer.stdout) == (0, expected), answer.stderr


def test_a_file_that_is_there_is_refused_for_the_whole_group(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    alone(tiny_run, *SOURCES, "-o", out)
    before = out.read_bytes()
    refused = shared(2, tiny_run, *SOURCES, "-o", out)
    assert refused.returncode != 0
    assert f"{out} is there already: continue it with --resume" in refused.stderr
    assert "internal error" not in refused.stderr
    assert out.read_bytes() == before
