"""The command: mutate, try, print."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import click
import torch

from .base import prepare
from .case import Case
from .command_lines import command_line
from .models import model
from .mutations import copy_of
from .processes import tried
from .recipes import recipe
from .report import Tally, show
from .rows import rows
from .runs import run_directory

#: Cases in one process, which costs as much to start as some of them.
TOGETHER = 20
#: The kinds of input. Each puts one into the scratch folder and returns its case.
KINDS: dict[str, Callable[[Random, Path], Case]] = {
    "recipe": recipe,
    "rows": rows,
    "model": model,
    "run directory": run_directory,
    "command line": command_line,
}


def case_of(kind: str, number: int, seed: int, base: Path, scratch: Path) -> Case:
    """Put an input into a fresh scratch folder and return its case."""
    if scratch.exists():
        shutil.rmtree(scratch)
    copy_of(base, scratch)
    os.environ["DLMONE_CACHE"] = str(scratch / "cache")
    return KINDS[kind](Random(f"{seed} {kind} {number}"), scratch)


def fuzz(
    seed: int, count: int, kinds: Sequence[str] = tuple(KINDS), numbers: Sequence[int] | None = None
) -> dict[str, Tally]:
    """Try ``count`` inputs, in turn of each kind; print findings as they come; return what became of them."""
    torch.set_num_threads(1)
    tallies = {kind: Tally() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        base, scratch = Path(folder) / "base", Path(folder) / "scratch"
        prepare(base)
        inputs = [(kind, number) for number in range(count) for kind in kinds][:count]
        if numbers is not None:
            inputs = [(kind, number) for kind in kinds for number in numbers]
        place = 0
        while place < len(inputs):
            batch = inputs[place : place + TOGETHER]
            cases = [partial(case_of, *one, seed, base, scratch) for one in batch]
            for (kind, number), (what, outcome) in zip(batch, tried(cases, scratch), strict=False):
                place += 1
                tallies[kind].codes[-1 if outcome.code is None else outcome.code] += 1
                for finding in outcome.findings:
                    tallies[kind].findings[finding] += 1
                    click.echo(f"{kind}:{number}  {what[:120]}\n    {finding}", err=True)
                if numbers is not None:
                    click.echo(f"{what}\n{outcome}")
                if place % 100 == 0:
                    show(tallies)
    return tallies


@click.command()
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--count", type=int, default=1000, show_default=True)
@click.option("--only", type=click.Choice(list(KINDS)), multiple=True, help="These kinds alone.")
@click.option("--case", "one", metavar="KIND:N", help="One case again, with all that it says.")
def run(seed: int, count: int, only: tuple[str, ...], one: str | None) -> None:
    """Try wrong inputs and print a table by kind."""
    started = time.monotonic()
    if one:
        kind, _, number = one.partition(":")
        tallies = fuzz(seed, 1, [kind], [int(number)])
    else:
        tallies = fuzz(seed, count, only or tuple(KINDS))
    show(tallies)
    click.echo(f"seed {seed}, {time.monotonic() - started:.0f} seconds")
    sys.exit(int(any(tally.findings for tally in tallies.values())))
