"""Command lines that make no sense, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import click

from dlmone.cli import COMMANDS, main

from .case import Case

VALUES = (
    *("1", "2", "0", "-1", "nan", "inf", "1e9", "10**9", "1" * 25, "9" * 5000),
    *("x", "", " ", "\0", "*", "a=b"),
)
PATHS = (
    *("run", "run/student", "run/teacher", "run/samples", "run/samples/student-one-1.jsonl", "recipe.toml"),
    *("inputs.jsonl", "settings.toml", "notes.txt", "torn.jsonl", "data", "nowhere", "new/x", ".", "/", ""),
    *("a\0b", "~nouser/x", "x" * 300, "/dev/null", "-", "qqp", "quik", "distinct", "sid", "diffuseq"),
)
SETTINGS = (
    *("ddim.eta=0.5", "ddim.eta=2", "mbr.utility=bleu", "seed=1", "stages.*.steps=1"),
    *(".eta=1", "eta", "=", ""),
)
#: Commands that are right to go on for long.
ENDLESS = ("run", "pretrain", "ablate", "serve")
#: What arguments take, by their names.
FIT = {
    "model": ("run", "run/student", "run/teacher"),
    "models": ("run", "run/teacher", "recipe.toml"),
    "recipe": ("recipe.toml",),
    "samples": ("run/samples/student-one-1.jsonl", "run/samples/teacher-2.jsonl"),
    "runs": ("run",),
    "texts": ("how do i learn", "?", "", "日本"),
    "out": ("copy",),
}


def _values(option: click.Parameter) -> Sequence[str]:
    """Return values that an option may take, or nearly."""
    if isinstance(option.type, click.Choice):
        return tuple(option.type.choices)
    if isinstance(option.type, click.IntRange):
        return ("1", "2", "3")
    if "=" in str(option.metavar):
        return SETTINGS
    return PATHS if option.metavar in ("FILE", "DIR", "PATH") else VALUES


def command_line(random: Random, root: Path) -> Case:
    """A command with some of its options, each with a value that it may or may not take."""
    context = click.Context(main)
    names = [name for name in COMMANDS if name not in ENDLESS]
    name = random.choice([*names, *("generate", "evaluate", "bench", "export", "check"), "run"])
    words, command = [name], main.get_command(context, name)
    if isinstance(command, click.Group) and random.random() < 0.9:
        words.append(random.choice(list(command.commands)))
        command = command.commands[words[-1]]
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Argument):
            count = random.choice((1, 1, 1, 2)) if option.nargs == -1 else int(random.random() < 0.9)
            pool = FIT.get(option.name or "", PATHS) if random.random() < 0.8 else PATHS
            words += random.choices(pool, k=count)
        elif random.random() < 0.15:
            words.append(random.choice(option.opts))
            if not (isinstance(option, click.Option) and option.is_flag):
                words.append(random.choice(_values(option) if random.random() < 0.7 else (*VALUES, *PATHS)))
    if random.random() < 0.1:
        words.insert(random.randint(0, len(words)), random.choice((*VALUES, "--frob", "-q", "--", "-o")))
    if name == "run":
        words.append("--dry-run")
    if name == "bench":
        words += ["--runs", "1", "--steps", "1"]
    return Case(" ".join(words), [words], input=b"how do i\n")
