"""What an exported graph keeps of its student: scores, tokens, size.

    dlmone export qqp-compact graph-float32 --to onnx
    dlmone export qqp-compact graph-int8 --to onnx:int8
    python benchmarks/exported.py qqp-compact graph-float32 graph-int8 --input data/QQP/valid.jsonl

Each system generates one output a row, in one network call, from the same noise. Its mean score has a
bootstrap interval over rows; so has its difference from dlmone's own float32, paired by row. Tokens are
compared at generated positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from dlmone.core import Evaluator, Example, Generator, InputError, Noise, Sample
from dlmone.evaluation.confidence import Resampling, Sums
from dlmone.generation.inputs import batches, examples_of_file
from dlmone.models.configuration import WEIGHTS
from dlmone.models.exported import load_exported
from dlmone.models.folder import load_student
from dlmone.models.resolve import model_folder
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot


@dataclass(frozen=True)
class Answers:
    """What one system generated: samples, and by row the tokens at generated positions."""

    samples: list[Sample]
    tokens: list[Tensor]

    def differing(self, other: Answers) -> tuple[int, float]:
        """Return in how many rows some token differs from another system's, and the share of tokens."""
        wrong = [one != two for one, two in zip(self.tokens, other.tokens, strict=True)]
        return sum(bool(row.any()) for row in wrong), float(torch.cat(wrong).double().mean())


@torch.no_grad()
def answers(generator: Generator, examples: Sequence[Example], seed: int, batch: int) -> Answers:
    found = Answers([], [])
    space = generator.space
    for part in batches(examples, batch):
        given = space.collate_conditions(part)
        tokens_BL = generator.generate(given, Noise([(seed, id, 0) for id in given.ids])).tokens_BL
        columns = (space.source_text(given), space.reference_text(given), space.text(tokens_BL, given))
        rows = zip(given.ids, *columns, strict=True)
        found.samples.extend(Sample(id, source, ref, (text,)) for id, source, ref, text in rows)
        found.tokens.extend(row[where] for row, where in zip(tokens_BL, given.target_BL, strict=True))
    return found


@click.command(help=__doc__.partition("\n")[0])
@click.argument("model")
@click.argument("graphs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--input", "source", required=True, type=click.Path(path_type=Path), help="With references.")
@click.option("--rows", type=click.IntRange(min=1), help="Only the first rows.")
@click.option("--metric", default="bleu", show_default=True, help="An evaluator with one score a row.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option("--batch", default=64, show_default=True)
def main(
    model: str, graphs: tuple[Path, ...], source: Path, rows: int | None, metric: str, seed: int, batch: int
) -> None:
    registry, resampling = Registry.discover(), Resampling()
    folder = model_folder(model, registry)
    examples = examples_of_file(source, registry)[:rows]
    evaluator: Evaluator = registry.create("evaluators", EvaluatorSlot(use=metric), "--metric")

    def score(found: Answers) -> Sums:
        values = evaluator.evaluate(found.samples)[0].per_sample
        if values is None:
            raise InputError(f"--metric {metric}: it has no score of a single row")
        return Sums.of_mean(values)

    def show(name: str, file: Path, sums: Sums, *beside: str) -> None:
        [(low, high)] = resampling.intervals([sums])
        mean = f"{sums.rows_NS.mean():.4f} ({low:.4f}–{high:.4f})"
        cells = [name, f"{file.stat().st_size / 1e6:.1f}", mean, *(beside or [""] * 3)]
        click.echo(f"| {' | '.join(cells)} |")

    own = answers(load_student(folder, registry).eval(), examples, seed, batch)
    base = score(own)
    click.echo(f"{len(examples)} rows of {source.name}, seed {seed}, one network call\n")
    click.echo(
        f"| | MB | {metric} (95 %) | difference (95 %, paired) | rows that differ | tokens that differ |"
    )
    click.echo("|---|---|---|---|---|---|")
    show("dlmone, float32", folder / WEIGHTS, base)
    for path in graphs:
        loaded = load_exported(path, [folder], registry, torch.get_num_threads())
        theirs = answers(loaded.generator, examples, seed, batch)
        sums = score(theirs)
        [against] = resampling.compare([sums], [base])
        low, high = against.interval
        rows_differ, tokens = theirs.differing(own)
        difference = f"{against.difference:+.4f} ({low:+.4f} to {high:+.4f})"
        name = f"{path.name}, {loaded.precision}, {loaded.runtime}"
        show(name, loaded.file, sums, difference, f"{rows_differ}", f"{tokens:.2%}")


if __name__ == "__main__":
    main()
