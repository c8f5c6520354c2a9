"""The table of what became of the inputs of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import click


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    codes: Counter[int] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)


def show(tallies: Mapping[str, Tally]) -> None:
    """Print the table."""
    heads = ("inputs", *(f"exit {code}" for code in (0, 1, 2, 3)))
    click.echo(f"{'kind':<16}{''.join(f'{head:>8}' for head in heads)}{'findings':>10}")
    for kind, tally in tallies.items():
        codes = "".join(f"{tally.codes[code]:>8}" for code in (0, 1, 2, 3))
        click.echo(f"{kind:<16}{tally.codes.total():>8}{codes}{tally.findings.total():>10}")
