"""The test table of docs/real_text.md: what teacher and student write, and its scores.

    python benchmarks/real_text.py write TEACHER STUDENT TEST OUT [NAME...]
    python benchmarks/real_text.py score OUT --bertscore MODEL

``write`` leaves a file of samples for each system (or for those named) and goes on where it was stopped;
``score`` prints the tables. Both only call dlmone's own commands.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

#: Rows of the split for systems that take many calls: 64, and 20.
FEW, SOME = 128, 500
BY_ITSELF = ("--sampler", "langflow", "--set", "langflow.chain=false")
LATE = ("--sampler", "langflow", "--set", "langflow.until.quantile=0.9")
METRICS = "bleu,rouge_l,bertscore,dist_1,copy_rate,ibleu,health"
COLUMNS = {
    "bleu": ("BLEU (95 %)", 3),
    "rouge_l": ("ROUGE-L (95 %)", 3),
    "bertscore": ("BERTScore", 3),
    "ibleu": ("iBLEU (95 %)", 1),
    "dist_1": ("Dist-1", 3),
    "self_bleu": ("self-BLEU", 3),
    "div_4": ("Div-4", 3),
    "copy_rate": ("copies", 3),
    "near_copy_rate": ("near copies", 3),
    "repetition_rate": ("repeat a word", 3),
    "empty_rate": ("empty", 3),
    "mean_words": ("words", 1),
}


@dataclass(frozen=True)
class System:
    """``model`` is "teacher" or "student"."""

    label: str
    model: str
    calls: int
    candidates: int = 1
    rows: int | None = None
    options: tuple[str, ...] = ()


def seeds(model: str) -> dict[str, System]:
    """Return a model's one call with other seeds."""
    return {
        f"{model}-1-seed-{k}": System(f"{model}, seed {k}", model, 1, 3, options=("--seed", str(k)))
        for k in (1, 2)
    }


SYSTEMS = {
    "teacher-1": System("teacher", "teacher", 1, 10),
    **seeds("teacher"),
    "teacher-2-late": System("teacher, until 0.9", "teacher", 2, options=LATE),
    "teacher-4-late": System("teacher, until 0.9", "teacher", 4, options=LATE),
    "teacher-1-each": System("teacher, tokens each by itself", "teacher", 1, options=BY_ITSELF),
    "teacher-20-each": System("teacher, tokens each by itself", "teacher", 20, rows=SOME, options=BY_ITSELF),
    "teacher-64-each": System("teacher, tokens each by itself", "teacher", 64, rows=FEW, options=BY_ITSELF),
    "student-1": System("student", "student", 1, 10),
    **seeds("student"),
    **{f"student-{n}": System("student", "student", n) for n in (2, 4)},
}


def dlmone(*arguments: object) -> str:
    """Return what a command prints, or end as it ends."""
    command = [sys.executable, "-m", "dlmone", *map(str, arguments)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        sys.exit(answer.returncode)
    return answer.stdout


@click.group()
def main() -> None:
    """Samples and tables for real text."""


@main.command()
@click.argument("teacher")
@click.argument("student")
@click.argument("test", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1, type=click.Choice(list(SYSTEMS)))
def write(teacher: str, student: str, test: Path, out: Path, names: Sequence[str]) -> None:
    """Write the samples of each system to OUT. TEACHER and STUDENT are folders or installed models."""
    out.mkdir(parents=True, exist_ok=True)
    lines = test.read_text(encoding="utf-8").splitlines(keepends=True)
    for name in names or SYSTEMS:
        system = SYSTEMS[name]
        folder = {"teacher": teacher, "student": student}[system.model]
        rows = out / f"first-{system.rows}.src" if system.rows else test
        if system.rows:
            rows.write_text("".join(lines[: system.rows]), encoding="utf-8")
        file = out / f"{name}.jsonl"
        dlmone(
            *("generate", folder, "-i", rows, "-o", file, "--steps", system.calls, *system.options),
            *("--candidates", system.candidates),
            *(("--resume",) if file.exists() else ()),
        )


@main.command()
@click.argument("out", type=click.Path(exists=True, path_type=Path))
@click.option("--bertscore", required=True, help="Folder or name of its encoder.")
@click.option("--layer", default=6, show_default=True, help="Its layer.")
def score(out: Path, bertscore: str, layer: int) -> None:
    """Print a table of the systems written to OUT, and one of what MBR chooses of ten candidates."""
    encoder = ("--set", f"bertscore.model={bertscore}", "--set", f"bertscore.num_layers={layer}")
    groups: dict[tuple[int | None, bool], list[str]] = defaultdict(list)
    for name, system in SYSTEMS.items():
        if (out / f"{name}.jsonl").exists():
            groups[system.rows, system.candidates > 1].append(name)
    print("| | NFE | rows | " + " | ".join(head for head, _ in COLUMNS.values()) + " |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for number, ((_, several), names) in enumerate(groups.items()):
        files = [out / f"{name}.jsonl" for name in names]
        metrics = METRICS + ",diversity" if several else METRICS
        _print(
            json.loads(dlmone("evaluate", *files, "--metrics", metrics, *encoder, "--json")), copy=not number
        )
    for name in (name for names in groups.values() for name in names if SYSTEMS[name].candidates == 10):
        chosen = ("--select", "mbr", "--k", 10, "--metrics", METRICS)
        _print(json.loads(dlmone("evaluate", out / f"{name}.jsonl", *chosen, *encoder, "--json")), "mbr")


def _print(results: dict[str, list[dict[str, object]]], selector: str = "first", copy: bool = False) -> None:
    for row in results["rows"]:
        name = Path(str(row["model"])).stem
        if not str(row["selector"]).startswith(selector) or (
            name not in SYSTEMS and not (copy and name == "copy")
        ):
            continue
        label = SYSTEMS[name].label if name in SYSTEMS else "copying the source"
        label += ", MBR-10" if selector == "mbr" else ""
        scores = row["scores"]
        assert isinstance(scores, dict)
        cells = [_cell(scores.get(key), digits, "95 %" in head) for key, (head, digits) in COLUMNS.items()]
        print(f"| {label} | {row['calls'] or ''} | {row['samples']:,} | " + " | ".join(cells) + " |")


def _cell(score: dict[str, object] | None, digits: int, with_interval: bool) -> str:
    if score is None:
        return ""
    value, interval = score["value"], score.get("interval")
    shown = f"{value:.{digits}f}"
    if with_interval and isinstance(interval, list):
        shown += f" ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
    return shown


if __name__ == "__main__":
    main()
