"""DiffuSeq's loss and LangFlow's on the same encoder and the same real text, against hours of one core.

    python benchmarks/teachers/core_hours.py train KIND DATA OUT     KIND is diffuseq or langflow
    python benchmarks/teachers/core_hours.py table OUT

Both start from MiniLM's six layers and its word embeddings and are trained by the compact or the langflow
profile of recipes/qqp.toml on one thread, in batches of 32 at a learning rate that falls from 5e-4 to 0
(compact's own 7e-4 is for batches of 64). At an eighth, a quarter, a half and the whole of the steps their
averages are scored on validation rows, by what is sampled and by the negative log-likelihood of the
references' tokens, from one pass at three noise levels. DiffuSeq's logits are products of its x0 with the
table; no loss sets their scale, and they know no frequencies. So for both the likelihood is the best of
several temperatures, with the training data's log frequencies added or not. Hours are CPU time of the
updates, without the scoring.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import dlmone.recipes
from dlmone.core import Batch, Example, Noise, SampledGenerator, Teacher, TimePoint
from dlmone.core.sampling.sampler import Sampler
from dlmone.registry import Recipe, Registry, load_recipe
from dlmone.registry.schema import Slot
from dlmone.runtime.device import Compute
from dlmone.training.preflight import read_data
from dlmone.training.pretraining import Pretraining
from dlmone.training.teacher import new_teacher
from dlmone.training.validation import Validator

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
#: σ/α: all but pure noise, most words undecided, few undecided.
RATIOS = (30.0, 5.0, 3.5)
TEMPERATURES = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0)
#: Words of a pair at most, for the likelihood: neither kind cuts such rows.
WORDS = 24
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
        steps=2400,
        ways={
            "1 call": Way("ddim", 1, {}),
            "4 calls until 1600": Way("ddim", 4, {"until": 1600}),
            "20 calls": Way("ddim", 20, {}),
        },
        overrides=("teacher.layers=6",),
    ),
    "langflow": Kind(
        "langflow",
        steps=1800,
        ways={
            "1 call, best of 8 draws": Way("langflow", 1, {"chain": {"temperature": 0.5, "draws": 8}}),
            "1 call": Way("langflow", 1, {"chain": False, "temperature": 0.5}),
            "20 calls": Way("langflow", 20, {"chain": False, "temperature": 0.5}),
        },
        overrides=("teacher.pairs=40_000",),
    ),
}
SHARED = (
    "teacher.pretrain.batch=32",
    "teacher.pretrain.warmup=200",
    "teacher.pretrain.ema=0.99",  # an average of 100 updates, so that early scores are not the start's
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
def log_frequencies(teacher: Teacher, examples: Sequence[Example]) -> Tensor:
    """Return the log share of each token among the references' tokens, [V], with one added to each count."""
    batch = teacher.space.collate(examples)
    logits_NV, _ = predicted(teacher, batch[:1], teacher.space.schedule.max_time)
    tokens_N = batch.tokens_BL[counted(teacher, batch)]
    counts_V = 1.0 + torch.bincount(tokens_N, minlength=logits_NV.shape[1])
    return (counts_V / counts_V.sum()).log()


@torch.no_grad()
def likelihoods(
    teacher: Teacher, examples: Sequence[Example], prior_V: Tensor, size: int = 32
) -> dict[str, tuple[float, float, bool]]:
    """Return by σ/α the mean −log p of the references' tokens in nats, its temperature, and if with prior.

    The likelihood of the prior alone is there as ``frequencies``, the number of tokens as ``tokens``.
    """
    batches = [teacher.space.collate(examples[i : i + size]) for i in range(0, len(examples), size)]
    tokens_N = torch.cat([batch.tokens_BL[counted(teacher, batch)] for batch in batches])
    found: dict[str, tuple[float, float, bool]] = {}
    for ratio in RATIOS:
        t = teacher.space.schedule.resolve(TimePoint(ratio=ratio))
        sums: dict[tuple[float, bool], float] = defaultdict(float)
        for batch in batches:
            logits_NV, own_N = predicted(teacher, batch, t)
            for temperature in TEMPERATURES:
                for prior in (False, True):
                    scaled_NV = logits_NV / temperature + prior * prior_V
                    sums[temperature, prior] += float(cross_entropy(scaled_NV, own_N, reduction="sum"))
        best = min(sums, key=lambda key: sums[key])
        found[f"{ratio:g}"] = sums[best] / len(tokens_N), *best
    alone = -float(prior_V[tokens_N].mean())
    return {**found, "frequencies": (alone, 1.0, True), "tokens": (len(tokens_N), 1.0, False)}


def predicted(teacher: Teacher, batch: Batch, t: float) -> tuple[Tensor, Tensor]:
    """Return logits [N, V] of the tokens [N] of the references, from one pass over their states at a time."""
    space, network = teacher.space, teacher.network
    noise = Noise([("core hours", example.id) for example in batch.examples])
    t_B = space.schedule.tensor(t, len(batch))
    e = space.embed(batch)
    e_t = space.pin(space.schedule.diffuse(e, t_B, noise.normal("z", space.state_shape)), e, batch)
    wanted = {"tokens": True} if network.takes_temperature else {}
    answer = network.denoise(e_t, t_B, batch, **wanted)
    logits_BLV = space.scores(answer.x0, batch) if answer.logits_BLV is None else answer.logits_BLV
    counted_BL = counted(teacher, batch)
    return logits_BLV[counted_BL].float(), batch.tokens_BL[counted_BL]


def counted(teacher: Teacher, batch: Batch) -> Tensor:
    """Return where tokens of references are, [B, L], the marker that ends them included.

    Padding is left out, and the marker that begins DiffuSeq's targets, which LangFlow's lack.
    """
    padding, marker = teacher.space.hidden_token, batch.tokens_BL[0, 0]
    return batch.target_BL & (batch.tokens_BL != padding) & (batch.tokens_BL != marker)


@click.group()
def main() -> None:
    """Compare two losses by hours of one core."""


@main.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=8), help="Of pretraining.")
@click.option("--rows", type=click.IntRange(min=1), default=256, show_default=True, help="Validation rows.")
def train(kind: str, data: Path, out: Path, steps: int | None, rows: int) -> None:
    """Train a teacher of a kind, and write a line of scores to OUT/KIND.jsonl at each share of its steps."""
    registry = Registry.discover()
    recipe = recipe_of(KINDS[kind], data.resolve(), steps, registry)
    config, compute = recipe.teacher.pretrain, Compute.start(recipe.compute)
    assert config is not None
    splits = read_data(recipe, registry)
    teacher = new_teacher(recipe, registry, splits["train"])
    trained = Pretraining(teacher, config, splits["train"], compute, recipe.seed)
    prior_V = log_frequencies(teacher, splits["train"][:20_000])
    short = [row for row in splits["valid"][:rows] if len(f"{row.source} {row.target}".split()) <= WORDS]
    metrics = {name: registry.create("evaluators", slot) for name, slot in recipe.evaluation.metrics.items()}
    validation = config.validation.model_copy(update={"examples": rows})
    validator = Validator(validation, "validation", metrics, splits["valid"], compute, recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{kind}.jsonl").open("w", encoding="utf-8") as file:
        for seconds in snapshots(trained):
            average = trained.average
            line: dict[str, Any] = {"step": trained.step, "hours": seconds / 3600, "sampled": {}}
            line["nll"] = likelihoods(average, short, prior_V)
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
    files = {kind: out / f"{kind}.jsonl" for kind in KINDS}
    lines = {kind: file.read_text("utf-8").splitlines() for kind, file in files.items() if file.exists()}
    found = {kind: [json.loads(line) for line in rows] for kind, rows in lines.items()}
    print("| loss | sampled in | core-hours | steps | BLEU | ROUGE-L | repeat a word | copies | words |")
    print("|---" * 9 + "|")
    for kind, rows in found.items():
        for name in KINDS[kind].ways:
            for row in rows:
                scores = [format(row["sampled"][name][key], form) for key, form in COLUMNS.items()]
                print(f"| {kind} | {name} | {row['hours']:.2f} | {row['step']:,} | {' | '.join(scores)} |")
    heads = [f"σ/α = {ratio:g}" for ratio in RATIOS]
    print("\n| loss | core-hours | " + " | ".join(heads) + " | frequencies alone | tokens |")
    print("|---" * (len(RATIOS) + 4) + "|")
    for kind, rows in found.items():
        for row in rows:
            *levels, alone, tokens = row["nll"].values()
            cells = [f"{nll:.2f} (τ {at:g}{', prior' * prior})" for nll, at, prior in levels]
            print(f"| {kind} | {row['hours']:.2f} | {' | '.join(cells)} | {alone[0]:.2f} | {tokens[0]:,} |")


if __name__ == "__main__":
    main()
