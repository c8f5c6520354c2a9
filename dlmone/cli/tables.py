"""Results as columns: scores side by side, selection by number of candidates, differences, definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from dlmone.evaluation.provenance import FIRST
from dlmone.evaluation.results import ComparisonResult, Results, RowResult, ScoreResult

from .output import print_columns

ARROWS = {"higher": "↑", "lower": "↓", "neither": " "}


def print_results(found: Results, signatures: bool = True) -> None:
    """Print tables and then, unless they are not wanted, the scores' definitions."""
    level = f"{100 * found.bootstrap.level:g} %" if found.bootstrap else ""
    _print_scores([row for row in found.rows if row.selector == FIRST])
    for rows in _selected(found.rows):
        click.echo(f"\n{rows[0].model}: one candidate per sample, selected by the selector in its signature")
        _print_choices(rows)
    for (model, against), comparisons in groupby(found.comparisons, key=lambda one: (one.model, one.against)):
        click.echo(f"\n{model} less {against}")
        _print_differences(list(comparisons), level)
    if signatures:
        click.echo()
        _print_signatures(found.rows)
    if found.bootstrap:
        drawn = f"{found.bootstrap.resamples} resamples of the examples, seed {found.bootstrap.seed}"
        click.echo(f"\n±: half the width of the {level} interval ({drawn})")


def _print_scores(rows: Sequence[RowResult]) -> None:
    """Print a line per score and a column per system."""
    lines = [["", *(row.model for row in rows)]]
    for name, score in _scores(rows).items():
        cells = [_cell(row.scores[name]) if name in row.scores else "" for row in rows]
        lines.append([f"{name} {ARROWS[score.direction]}", *cells])
    lines.append(["samples", *(str(row.samples) for row in rows)])
    lines.append(["candidates", *(str(row.candidates) for row in rows)])
    print_columns(lines, right=True)


def _print_choices(rows: Sequence[RowResult]) -> None:
    """Print a line per number of candidates and a column per score."""
    scores = _scores(rows)
    lines = [["", *(f"{name} {ARROWS[score.direction]}".rstrip() for name, score in scores.items())]]
    lines += [[row.selector, *(_number(row.scores[name].value) for name in scores)] for row in rows]
    print_columns(lines, right=True)


def _print_differences(comparisons: Sequence[ComparisonResult], level: str) -> None:
    choice = [""] if any(one.selector != FIRST for one in comparisons) else []
    lines = [["", *choice, "difference", f"{level} interval", "p"]]
    for one in comparisons:
        interval = " to ".join(f"{end:+.4f}" for end in one.interval)
        chosen = [one.selector] if choice else []
        lines.append([one.score, *chosen, f"{one.difference:+.4f}", interval, f"{one.p:.4f}"])
    print_columns(lines, right=True)


def _print_signatures(rows: Sequence[RowResult]) -> None:
    """Print each definition once, and each row's provenance."""
    for name in _scores(rows):
        definitions = {row.model: row.definition(name) for row in rows if name in row.scores}
        for definition in dict.fromkeys(definitions.values()):
            # One number can be defined in two ways where the systems' texts differ in kind.
            whose = [model for model, one in definitions.items() if one == definition]
            click.echo(definition + (f"  ({', '.join(whose)})" if len(whose) < len(definitions) else ""))
    click.echo("\nA signature is a definition and then, after a |, its samples' provenance:")
    for row in rows:
        # A selector's rows differ in its name alone, which stands in their table.
        if row.selector == FIRST:
            click.echo(f"{row.origin}  ({row.model})")


def _selected(rows: Sequence[RowResult]) -> Iterator[list[RowResult]]:
    chosen = [row for row in rows if row.selector != FIRST]
    for _, group in groupby(chosen, key=lambda row: row.model):
        yield list(group)


def _scores(rows: Sequence[RowResult]) -> dict[str, ScoreResult]:
    """Return every score that occurs, by name."""
    return {name: score for row in rows for name, score in row.scores.items()}


def _cell(score: ScoreResult) -> str:
    if score.interval is None:
        return _number(score.value)
    low, high = score.interval
    return f"{_number(score.value)} ±{_number((high - low) / 2)}"


def _number(value: float) -> str:
    return f"{value:.4f}"
