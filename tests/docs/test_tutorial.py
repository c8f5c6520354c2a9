"""docs/tutorial.md: its commands work in their order, at a smaller size, and print what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
#: Files to be saved, with their names, and commands with what they print.
FILES = re.findall(r"ave (?:it|this) as `([\w.]+)`:\n\n```\w+\n(.+?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.+?)```\n(?:\n```text\n(.+?)```)?", PAGE, re.DOTALL)


def smaller(text: str) -> str:
    """Cut a recipe's training down to what takes seconds."""
    text = re.sub(r"^steps = \d+", "steps = 8", text, flags=re.MULTILINE)
    text = text.replace("[evaluation]", "[evaluation]\nexamples = 8")
    return re.sub(r"every = \d+, examples = \d+", "every = 4, examples = 8", text)


def shape(printed: str) -> list[str]:
    """Return lines without what depends on training and on the machine: numbers and spaces."""
    return [re.sub(r"[\d.,]+", "#", " ".join(line.split())) for line in printed.strip().splitlines()]


def agrees(command: str, printed: str, shown: str) -> bool:
    """Compare an output with the page's. Of models trained here only the number of answers is the same."""
    if (" runs/" in command and "generate" in command) or "exported" in command:
        return len(printed.splitlines()) == len(shown.splitlines())
    return shape(printed) == shape(shown)


@pytest.mark.slow
def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(smaller(text), encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = os.environ | {"PATH": path, "DLMONE_CACHE": str(tmp_path / "cache"), "COLUMNS": "100"}
    for command, shown in COMMANDS:
        if "pip install" in command:
            continue
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=tmp_path,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert not shown or agrees(command, done.stdout, shown), f"{command}\n{done.stdout}"
    assert (tmp_path / "runs/rewrites-1/report/index.html").is_file()
    assert (tmp_path / "compare.html").is_file()


def test_each_file_and_each_command_is_found() -> None:
    assert [name for name, _ in FILES] == ["make_data.py", "rewrites.toml"]
    said = " ".join(command for command, _ in COMMANDS)
    assert all(f"dlmone {name}" in said for name in ("generate", "check", "run", "report", "export"))
    lines = re.findall(r"^(?:dlmone|python) .+$", PAGE, re.MULTILINE)
    assert len(lines) == 13
    assert [line for line in lines if line not in said] == []


def test_another_output_is_found() -> None:
    shown = "bleu ↑ 0.159 0.220"
    assert agrees("dlmone run rewrites.toml", "bleu ↑   0.1 0.3", shown)
    assert not agrees("dlmone run rewrites.toml", "rouge_l ↑ 0.1 0.3", shown)
    assert not agrees("dlmone generate runs/sds/student text", "a\nb", "a")
