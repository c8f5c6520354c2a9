"""LangFlow with a condition against DiffuSeq on the question grammar, and one-step students by one recipe.

    python benchmarks/teachers/compare.py OUT [--seeds 3] [--set KEY=VALUE]    train and print the table
    python benchmarks/teachers/compare.py OUT --table-only    the table of what is finished

The recipes are diffuseq.toml and langflow.toml, beside this file: networks of the same size, equally many
passes of pretraining. Each run is OUT/KIND/seed-N, in a process of its own; one that was stopped is
resumed. A score is the mean over seeds ± half its 95 % t interval, or that of the only seed.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import click

from dlmone.ablation.intervals import t_interval
from dlmone.evaluation.results import Results
from dlmone.registry import Registry, load_recipe

RECIPES = Path(__file__).parent
KINDS = ("diffuseq", "langflow")
SCORES = ("fidelity", "coverage", "validity", "copy_rate", "bleu")
#: Of an example in an update: forward, and a backward pass that counts as two.
PASSES = 3.0


def run(out: Path, kind: str, seed: int, overrides: tuple[str, ...]) -> None:
    """Train and evaluate one teacher and its student, or go on where they were stopped."""
    folder = out / kind / f"seed-{seed}"
    if finished(folder):
        return
    where = ["--resume"] if folder.exists() else ["--run-dir"]
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "dlmone", "run", str(RECIPES / f"{kind}.toml")]
    subprocess.run([*command, *where, str(folder), "--seed", str(seed), *settings], check=True)


def finished(folder: Path) -> bool:
    return (folder / "report" / "results.json").is_file()


def passes(kind: str) -> float:
    """Return the passes of pretraining: a share of LangFlow's samples first make an estimate of their own."""
    registry = Registry.discover()
    slot = load_recipe(RECIPES / f"{kind}.toml", registry=registry).recipe.teacher
    assert slot.pretrain is not None
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    further = getattr(options, "self_conditioning_rate", 0.0)
    return slot.pretrain.steps * slot.pretrain.batch * (PASSES + further)


def table(out: Path) -> str:
    """Return a Markdown table of all finished runs: a row for each model and number of network calls."""
    values: dict[tuple[str, str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for kind in KINDS:
        for folder in sorted((out / kind).glob("seed-*")):
            if not finished(folder):
                continue
            results = Results.model_validate_json((folder / "report" / "results.json").read_text("utf-8"))
            for row in results.rows:
                if row.setting is None or row.calls is None:
                    continue
                for score in SCORES:
                    if score in row.scores:
                        role = row.setting.role
                        values[role, kind, row.calls][score].append(row.scores[score].value)
    lines = ["| | NFE | seeds | " + " | ".join(SCORES) + " |", "|---|---|---|" + "---|" * len(SCORES)]
    for role in ("teacher", "student"):
        for kind in KINDS:
            for calls in sorted(key[2] for key in values if key[:2] == (role, kind)):
                found = values[role, kind, calls]
                seeds = max(map(len, found.values()))
                cells = [shown(found[score]) if score in found else "–" for score in SCORES]
                lines.append(f"| {kind}, {role} | {calls} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(values: list[float]) -> str:
    mean, interval = fmean(values), t_interval(values)
    return f"{mean:.3f}" if interval is None else f"{mean:.3f} ±{(interval[1] - interval[0]) / 2:.3f}"


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True)
@click.option("--set", "overrides", multiple=True, help="of both recipes")
@click.option("--table-only", is_flag=True)
def main(out: Path, seeds: int, overrides: tuple[str, ...], table_only: bool) -> None:
    if not table_only:
        for seed in range(seeds):
            for kind in KINDS:
                run(out, kind, seed, overrides)
    for kind in KINDS:
        print(f"{kind}: {passes(kind):,.0f} passes of pretraining")
    print(table(out))


if __name__ == "__main__":
    main()
