"""``dlmone evaluate``: scores of sample files, side by side, with what each number means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlmone.core.evaluator import Sample, Score

from .output import print_columns, print_json
from .request import plugin_option

if TYPE_CHECKING:
    from dlmone.core import Evaluator

#: What is scored unless metrics are named: all that needs no download and fits any task.
METRICS = "bleu,rouge_l,dist_1,avg_len,diversity,copy_rate,health"
ARROWS = {"higher": "↑", "lower": "↓", "neither": " "}


@click.command()
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metrics", metavar="A,B", help=f"Evaluators by name.  [default: {METRICS}, where they fit]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def evaluate(
    samples: tuple[Path, ...], metrics: str | None, as_json: bool, plugins: tuple[Path, ...]
) -> None:
    """Score SAMPLES side by side, each with its definition.

    Each is one system: a file that dlmone wrote, a file that DiffuSeq wrote, or a folder of those, in which
    each file holds one draw a source.
    """
    from dlmone.engine.judge import judge
    from dlmone.engine.samples import read_samples

    evaluators = _evaluators(metrics or METRICS, plugins)
    paths = list(dict.fromkeys(samples))
    names = [str(path) for path in paths] if as_json else _labels(paths)
    systems = {name: read_samples(path) for name, path in zip(names, paths, strict=True)}
    if metrics:
        scores = {
            name: [score for one in evaluators.values() for score in one.evaluate(system)]
            for name, system in systems.items()
        }
    else:
        scores = {name: judge(system, evaluators) for name, system in systems.items()}
    (_print_as_json if as_json else _print_table)(systems, scores)


def _evaluators(names: str, plugins: Sequence[Path]) -> dict[str, Evaluator]:
    from dlmone.registry import Registry
    from dlmone.registry.schema import EvaluatorSlot

    registry = Registry.discover(plugins)
    registry.require_files()
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    return {name: registry.create("evaluators", EvaluatorSlot(use=name), "--metrics") for name in wanted}


def _print_as_json(systems: Mapping[str, Sequence[Sample]], scores: Mapping[str, Sequence[Score]]) -> None:
    facts = [
        {
            "system": name,
            "samples": len(system),
            "candidates": _drawn(system),
            "scores": {
                score.name: {
                    "value": score.value,
                    "direction": score.direction,
                    "signature": score.signature,
                }
                for score in scores[name]
            },
        }
        for name, system in systems.items()
    ]
    print_json(facts)


def _print_table(systems: Mapping[str, Sequence[Sample]], scores: Mapping[str, Sequence[Score]]) -> None:
    """Print a row a score and a column a system, then each signature that occurs."""
    found = {score.name: score for system in scores.values() for score in system}
    values = {system: {score.name: f"{score.value:.4f}" for score in scores[system]} for system in systems}
    rows = [["", *systems]]
    rows += [
        [f"{name} {ARROWS[score.direction]}", *(values[system].get(name, "") for system in systems)]
        for name, score in found.items()
    ]
    rows.append(["samples", *(str(len(system)) for system in systems.values())])
    rows.append(["candidates", *(str(_drawn(system)) for system in systems.values())])
    print_columns(rows, right=True)
    click.echo()
    for name in found:
        signatures = {
            system: score.signature for system in systems for score in scores[system] if score.name == name
        }
        for signature in dict.fromkeys(signatures.values()):
            # One number can be defined in two ways where the systems' texts differ in kind.
            whose = [system for system, one in signatures.items() if one == signature]
            click.echo(signature + (f"  ({', '.join(whose)})" if len(whose) < len(signatures) else ""))


def _labels(paths: Sequence[Path]) -> list[str]:
    """Return the ends of different paths, as short as tells them apart."""
    parts = [path.absolute().parts for path in paths]
    length = 1
    while len({one[-length:] for one in parts}) < len(paths):
        length += 1
    return [str(Path(*one[-length:])) for one in parts]


def _drawn(samples: Sequence[Sample]) -> int:
    return min(len(sample.candidates) for sample in samples)
