"""Model folders that were touched: a teacher's or a student's."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import load_file, save_file

from .case import Case
from .mutations import mutated, spoil_file


def model(random: Random, root: Path) -> Case:
    """A model folder: a teacher's or a student's."""
    folder = root / "run" / random.choice(("student", "teacher"))
    path = random.choice([one for one in sorted(folder.iterdir()) if one.is_file()])
    before = _meaning(path)
    copied = False
    if path.suffix == ".json" and random.random() < 0.6:
        table, what = mutated(random, json.loads(path.read_text()))
        path.write_text(json.dumps(table))
        if copied := path.name == "config.json" and random.random() < 0.5:
            what += ", and in its copy"
            weights = folder / "model.safetensors"
            save_file(load_file(weights), weights, metadata={"config": json.dumps(table)})
    elif random.random() < 0.2:
        other = random.choice([one for one in sorted(folder.iterdir()) if one.is_file()])
        what = f"{path.name}: that of {other.name}"
        path.write_bytes(other.read_bytes())
    else:
        what = spoil_file(random, path)
    name = str(folder.relative_to(root))
    command = random.choice(
        (
            ["generate", name, "how do i learn", "--device", "cpu", "--steps", "2"],
            ["generate", name, "-i", "inputs.jsonl", "-o", "out.jsonl", "--device", "cpu", "--steps", "2"],
            ["export", name, "copy"],
            ["bench", name, "--runs", "1", "--steps", "1", "--device", "cpu"],
        )
    )
    # With its copy it is what another tool may have made, and not surely wrong.
    wrong = path.suffix == ".json" and not copied and _meaning(path) != before
    return Case(f"{folder.name}/{what}", [command], wrong)


def _meaning(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes()) if path.suffix == ".json" else None
    except (OSError, ValueError, RecursionError):
        return path
