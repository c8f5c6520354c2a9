"""Run directories that were touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from .case import Case
from .mutations import spoil_file


def run_directory(random: Random, root: Path) -> Case:
    """A run directory that was touched."""
    run = root / "run"
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"]
    names = [path for path in files if path.parent == run or path.suffix in (".jsonl", ".json")]
    path = random.choice(files if random.random() < 0.3 else names)
    if random.random() < 0.15:
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        (path.parent / "step-x").mkdir()
        what = f"{path.parent.relative_to(root)} emptied"
    else:
        what = f"{path.parent.relative_to(root)}/{spoil_file(random, path)}"
    resume = ["run", "recipe.toml", "--resume", "run", "--no-report"]
    command = random.choice(
        (
            ["report", "run", "-o", "page.html"],
            *(["generate", "run", "how do i", "--device", "cpu"],) * 6,
            *(["evaluate", "run/samples/student-one-1.jsonl", "--bootstrap", "5"],) * 6,
            *(["evaluate", "run/samples", "--bootstrap", "5"],) * 4,
            *(resume,) * 2,
        )
    )
    return Case(what, [command], own=("run/",) if command is resume else ())
