"""Wrong recipes: files, and ``--set``."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from random import Random

import tomli_w

from .base import RECIPE
from .case import Case
from .mutations import ODD, mutated, places, spoil_file


def recipe(random: Random, root: Path) -> Case:
    """A recipe file, or ``--set``."""
    if random.random() < 0.3:
        what = spoil_file(random, root / "recipe.toml")
        try:
            tomllib.loads((root / "recipe.toml").read_text(encoding="utf-8-sig"))
            wrong = False
        except (OSError, ValueError, RecursionError):
            wrong = True
        return Case(what, [["check", "recipe.toml"]], wrong)
    if random.random() < 0.4:
        loc = random.choice([loc for loc in places(RECIPE) if all(isinstance(key, str) for key in loc)])
        key = ".".join(loc)
        value = random.choice(ODD)
        text = random.choice((json.dumps(value), str(value)))
        if random.random() < 0.2:
            key = random.choice((f"{key}x", key.replace(".", ".."), "*." + key, "", key + ".*", "'" + key))
        checked = ["check", "recipe.toml", "--set", f"{key}={text}"]
        return Case(f"--set {key}={text}"[:80], [checked, *_sometimes(random, ["run", *checked[1:], *FEW])])
    table, what = mutated(random, RECIPE)
    try:
        (root / "recipe.toml").write_text(tomli_w.dumps(table))
    except (TypeError, UnicodeError):  # TOML has no null
        (root / "recipe.toml").write_text(repr(table))
        return Case(what, [["check", "recipe.toml"]], wrong=True)
    commands = [["check", "recipe.toml"], *_sometimes(random, ["run", "recipe.toml", *FEW])]
    # Another name is wrong but where names are free.
    return Case(what, commands, what.endswith("rename") and not re.match(FREE + ": rename", what))


#: Keys that are names.
FREE = r"(stages\.one(\.objectives\.\w+)?|evaluation\.(metrics|select|variants)\.\w+)"


def _sometimes(random: Random, command: list[str]) -> list[list[str]]:
    """Return a command that takes long in one of some cases."""
    return [command] if random.random() < 0.15 else []


#: Lets a run that passed its check end soon.
FEW = ("--set", "stages.*.steps=2", "--set", "teacher.pretrain.steps=1", "--run-dir", "other", "--no-report")
