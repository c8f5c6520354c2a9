"""DiffuSeq's loss and LangFlow's on the same encoder and the same real text, against hours of one core.

    python benchmarks/teachers/core_hours.py train KIND DATA OUT     KIND is diffuseq or langflow
    python benchmarks/teachers/core_hours.py table OUT

Both start from MiniLM's six layers and its word embeddings and are trained by the compact or the langflow
profile of recipes/qqp.toml, with the same batch and learning rate, on one thread. At an eighth, a quarter, a
half and the whole of the steps their averages are scored on the first validation rows, by what is sampled and
by the negative log-likelihood of the reference's tokens at three noise levels. DiffuSeq's logits are products
of its x0 with the table, and no loss has set their scale at these times, so for both the likelihood is that
of the best of several temperatures. Hours are CPU time of the updates, without the scoring.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn import functional

import dlmone.recipes
from dlmone.core import Batch, Example, Noise, SampledGenerator, Teacher, TimePoint
from dlmone.core.sampling.sampler import Sampler
from dlmone.evaluation.validation import Validator
from dlmone.registry import Recipe, Registry, load_recipe
from dlmone.registry.schema import Slot
from dlmone.runtime.device import Compute
from dlmone.training.preflight import read_data
from dlmone.training.pretraining import Pretraining
from dlmone.training.teacher import new_teacher

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
#: σ/α: all but pure noise, most words undecided, few undecided.
RATIOS = (30.0, 5.0, 3.5)
TEMPERATURES = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0)
COLUMNS = {"bleu": ".3f", "rouge_l": ".3f", "repetitive": ".1%", "copied": ".1%", "mean_length": ".1f"}


@dataclass(frozen=True)
class Way:
    """A way to sample: its sampler, that sampler's options, and the number of calls."""

    use: str
    calls: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A loss to train with: a profile of recipes/qqp.toml, and the ways to sample from its teachers."""

    profile: str
    steps: int
    ways: Mapping[str, Way]
    overrides: tuple[str, ...] = ()


#: The steps take about as long on one core. DiffuSeq's has five layers and a larger batch otherwise.
KINDS = {
    "diffuseq": Kind(
        "compact",
        steps=3200,
        ways={"4 calls until 1600": Way("ddim", 4, {"until": 1600}), "20 calls": Way("ddim", 20, {})},
        overrides=("teacher.layers=6",),
    ),
    "langflow": Kind(
        "langflow",
        steps=2400,
        ways={
            "1 call, tokens together": Way("langflow", 1, {}),
            "1 call": Way("langflow", 1, {"chain": False, "temperature": 0.5}),
            "20 calls": Way("langflow", 20, {"chain": False, "temperature": 0.5}),
        },
    ),
}
SHARED = (
    "teacher.pretrain.batch=32",
    "teacher.pretrain.warmup=200",
    "teacher.pretrain.ema=0.998",
    "teacher.pretrain.optimizer.lr=5e-4",
    "compute.precision=float32",
    "compute.threads=1",
)


def recipe_of(kind: Kind, data: Path, steps: int | None, registry: Registry) -> Recipe:
    own = (f"data.path={data}", f"teacher.pretrain.steps={steps or kind.steps}")
    overrides = [*SHARED, *kind.overrides, *own]
    file = Path(dlmone.recipes.__file__).parent / "qqp.toml"
    return load_recipe(file, registry=registry, profile=kind.profile, overrides=overrides).recipe


def snapshots(trained: Pretraining) -> Iterator[float]:
    """Train, and yield the seconds of CPU time so far at each share of the steps."""
    marks = [round(share * trained.config.steps) for share in SHARES]
    seconds = 0.0
    while trained.step < trained.config.steps:
        started = time.process_time()
        trained.advance(norms=False)
        seconds += time.process_time() - started
        if trained.step in marks:
            yield seconds


@torch.no_grad()
def likelihoods(
    teacher: Teacher, examples: list[Example], size: int = 32
) -> dict[float, tuple[float, float]]:
    """Return by σ/α the mean −log p of the references' words in nats, and its temperature."""
    space, found = teacher.space, {}
    for ratio in RATIOS:
        t = space.schedule.resolve(TimePoint(ratio=ratio))
        sums = torch.zeros(len(TEMPERATURES), dtype=torch.float64)
        counted = 0
        for i in range(0, len(examples), size):
            batch = space.collate(examples[i : i + size])
            noise = Noise([("core hours", example.id) for example in batch.examples], torch.device("cpu"))
            logits_NV, tokens_N = predicted(teacher, batch, t, noise)
            counted += len(tokens_N)
            for j, temperature in enumerate(TEMPERATURES):
                sums[j] += functional.cross_entropy(logits_NV / temperature, tokens_N, reduction="sum")
        means = sums / counted
        found[ratio] = float(means.min()), TEMPERATURES[int(means.argmin())]
    return found


def predicted(teacher: Teacher, batch: Batch, t: float, noise: Noise) -> tuple[Tensor, Tensor]:
    """Return logits [N, V] of the tokens [N] of the references, from their states noised to a time.

    DiffuSeq's targets begin with the marker of a row's beginning, LangFlow's don't: it is left out.
    """
    space, network = teacher.space, teacher.network
    t_B = space.schedule.tensor(t, len(batch))
    e = space.embed(batch)
    e_t = space.pin(space.schedule.diffuse(e, t_B, noise.normal("z", space.state_shape)), e, batch)
    wanted = {"tokens": True} if network.takes_temperature else {}
    answer = network.evaluate(e_t, t_B, batch, **wanted)
    logits_BLV = space.scores(answer.x0, batch) if answer.logits_BLV is None else answer.logits_BLV
    marker, tokens_BL = batch.tokens_BL[0, 0], batch.tokens_BL
    counted_BL = batch.target_BL & (tokens_BL != space.hidden_token) & (tokens_BL != marker)
    return logits_BLV[counted_BL].float(), tokens_BL[counted_BL]


@click.group()
def main() -> None:
    """Compare two losses by hours of one core."""


@main.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--steps", type=int, help="Of pretraining.")
@click.option("--rows", default=256, show_default=True, help="Validation rows.")
def train(kind: str, data: Path, out: Path, steps: int | None, rows: int) -> None:
    """Train a teacher of a kind, and write a line of scores to OUT/KIND.jsonl at each share of its steps."""
    registry = Registry.discover()
    recipe = recipe_of(KINDS[kind], data.resolve(), steps, registry)
    config, compute = recipe.teacher.pretrain, Compute.start(recipe.compute)
    assert config is not None
    splits = read_data(recipe, registry)
    teacher = new_teacher(recipe, registry, splits["train"])
    trained = Pretraining(teacher, config, splits["train"], compute, recipe.seed)
    metrics = {name: registry.create("evaluators", slot) for name, slot in recipe.evaluation.metrics.items()}
    validation = config.validation.model_copy(update={"examples": rows})
    validator = Validator(validation, "validation", metrics, splits["valid"], compute, recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{kind}.jsonl").open("w", encoding="utf-8") as file:
        for seconds in snapshots(trained):
            average = trained.average
            line: dict[str, Any] = {"step": trained.step, "hours": seconds / 3600, "sampled": {}}
            line["nll"] = likelihoods(average, list(splits["valid"][:rows]))
            for name, way in KINDS[kind].ways.items():
                sampler: Sampler = registry.create("samplers", Slot(use=way.use, **way.options))
                result = validator(SampledGenerator(average.network, average.space, sampler), way.calls)
                assert result is not None
                line["sampled"][name] = {column: result.named[column] for column in COLUMNS}
            print(json.dumps(line), file=file, flush=True)
            print(json.dumps(line), flush=True)


@main.command()
@click.argument("out", type=click.Path(exists=True, path_type=Path))
def table(out: Path) -> None:
    """Print Markdown tables of what is in OUT: what is sampled, and likelihoods."""
    lines = {kind: (out / f"{kind}.jsonl").read_text("utf-8").splitlines() for kind in KINDS}
    found = {kind: [json.loads(line) for line in rows] for kind, rows in lines.items()}
    print("| loss | sampled in | core-hours | steps | BLEU | ROUGE-L | repeat a word | copies | words |")
    print("|---" * 9 + "|")
    for kind, rows in found.items():
        for name in KINDS[kind].ways:
            for row in rows:
                scores = [format(row["sampled"][name][key], form) for key, form in COLUMNS.items()]
                print(f"| {kind} | {name} | {row['hours']:.2f} | {row['step']:,} | {' | '.join(scores)} |")
    print("\n| loss | core-hours | " + " | ".join(f"σ/α = {ratio:g}" for ratio in RATIOS) + " |")
    print("|---" * (len(RATIOS) + 2) + "|")
    for kind, rows in found.items():
        for row in rows:
            cells = [f"{nll:.2f} (τ = {at:g})" for nll, at in row["nll"].values()]
            print(f"| {kind} | {row['hours']:.2f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
