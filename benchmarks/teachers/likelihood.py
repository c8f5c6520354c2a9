"""Bound an unconditional LangFlow's perplexity on held-out text, as its paper reports it.

    python benchmarks/teachers/likelihood.py MODEL FILE --rows 256              the ODE's bound, as published
    python benchmarks/teachers/likelihood.py MODEL FILE --by diffusion          the SDE's, looser and faster

FILE has rows {"src": "", "trg": TEXT}. Both estimate an upper bound on −log p of all tokens of a row, markers
and padding included, as the official code does (plugins/langflow/likelihood.py); estimates are noisy. A draw
depends on the seed and the row alone. What is printed: nats a token, exp of it, and half the width of the
95 % interval over rows.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import click
import torch
from torch import Tensor

from dlmone.core import Batch, Example, Noise
from dlmone.models.folder import load_teacher
from dlmone.plugins.langflow.likelihood import Bound, Likelihood, quantiles
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.registry import Registry


def bound_of(
    teacher: LangFlowTeacher,
    batch: Batch,
    by: Literal["flow", "diffusion"],
    steps: int,
    seed: int,
) -> Likelihood:
    """Return the bound of each row of a batch, in nats: ``steps`` of Heun's, or as many draws of the SDE."""
    space, noise = teacher.space, Noise([(seed, id) for id in batch.ids])
    bound = Bound(teacher.network, space, batch)
    cleanest = noise.normal("z", space.state_shape)
    if by == "flow":
        return bound.by_flow(cleanest, _probes(noise, space.state_shape), quantiles(space, steps))
    schedule = space.schedule
    ends = (schedule.min_time, schedule.max_time)
    draws = [
        (schedule.sample(noise.uniform(f"t{n}"), *ends), noise.normal(f"epsilon{n}", space.state_shape))
        for n in range(steps)
    ]
    return bound.by_diffusion(cleanest, draws)


def _probes(noise: Noise, shape: tuple[int, ...]) -> Iterator[Tensor]:
    n = 0
    while True:
        yield noise.normal(f"u{n}", shape)
        n += 1


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--by", type=click.Choice(["flow", "diffusion"]), default="flow", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=128, show_default=True, help="Heun's, or draws.")
@click.option("--rows", type=click.IntRange(min=2), default=256, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(model: Path, file: Path, by: str, steps: int, rows: int, batch: int, seed: int) -> None:
    """Print a bound on the perplexity of MODEL on the first rows of FILE."""
    teacher = load_teacher(model, Registry.discover()).eval()
    if not isinstance(teacher, LangFlowTeacher) or teacher.space.conditional:
        raise click.UsageError(f"{model} is no LangFlow without a condition")
    texts = [json.loads(line)["trg"] for line in file.read_text("utf-8").splitlines()[:rows]]
    examples = [Example(str(n), "", text) for n, text in enumerate(texts)]
    way = cast(Literal["flow", "diffusion"], by)
    parts = [
        bound_of(teacher, teacher.space.collate(examples[start : start + batch]), way, steps, seed).nll_B
        for start in range(0, len(examples), batch)
    ]
    nats_N = torch.cat(parts).double() / teacher.space.state_shape[0]
    mean, half = float(nats_N.mean()), 1.96 * float(nats_N.std()) / math.sqrt(len(nats_N))
    print(f"{mean:.4f} ±{half:.4f} nats a token, perplexity {math.exp(mean):.3f} ({len(nats_N)} rows)")


if __name__ == "__main__":
    main()
