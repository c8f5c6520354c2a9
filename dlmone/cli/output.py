"""Print columns and JSON on standard output, and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlmone.runtime.environment import process_number
from dlmone.runtime.files import write_whole

from .verbosity import is_quiet

if TYPE_CHECKING:
    from rich.console import Console


def console(quiet: bool = False) -> Console:
    """Return the console for progress, on standard error. Where that is a file, lines are not wrapped."""
    from rich.console import Console

    quiet, width = quiet or is_quiet(), None if sys.stderr.isatty() else 240
    return Console(stderr=True, quiet=quiet, width=width, soft_wrap=True, markup=False, highlight=False)


def is_main() -> bool:
    """Tell whether this is the main process (rank 0 under torchrun)."""
    return process_number("RANK", 0) == 0


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and put it there when it is whole; ``-`` is standard output."""
    if str(path) == "-":
        click.echo(text, nl=False)
        return
    write_whole(path, text)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_columns(rows: Sequence[Sequence[str]], right: bool = False) -> None:
    """Print rows in aligned columns; with ``right``, all but the first right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if right and i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
