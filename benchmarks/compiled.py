"""Time training and one-step generation, compiled with torch.compile and not, in turns.

    python benchmarks/compiled.py                # a tiny network, and six layers of 128
    python benchmarks/compiled.py --rounds 9     # more turns

CPU seconds of all threads, or on a GPU seconds until its work is done; medians over rounds, and the median
ratio. Compiling is the wall time of the first three calls, which compile for all that they meet.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from gpu_training import REGISTRY, TINY, pairs
from slowdown import STAGE

from dlmone.core import DiffusionGenerator
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import Pretrain, Stage
from dlmone.runtime.compilation import compile_call
from dlmone.runtime.device import Compute
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining

SIZES: dict[str, dict[str, Any]] = {
    "tiny": TINY,
    "quick": {
        "seq_len": 27, "hidden_dim": 32, "hidden_t_dim": 64, "width": 128, "layers": 6, "heads": 4,
        "tokenizer": "words",
    },
}  # fmt: skip
#: Calls before anything counts: all shapes have been met, and all that compiles is compiled.
FIRST = 3


def cases(size: str, batch: int, compute: Compute) -> Iterator[tuple[str, Callable[[Compute], Any]]]:
    """Yield names, and what builds the call that is timed."""
    examples = pairs(512)
    options = REGISTRY.options("teachers", "diffuseq", SIZES[size], "teacher")
    torch.manual_seed(0)
    teacher = REGISTRY.load("teachers", "diffuseq").build(options, examples).to(compute.device)

    def pretraining(on: Compute) -> Callable[[], object]:
        table = {"steps": 1000, "batch": batch, "optimizer": {"lr": 1e-5}}
        trained = Pretraining(copy.deepcopy(teacher), Pretrain.model_validate(table), examples, on, 0)
        return lambda: trained.advance(False)

    def iteration(on: Compute) -> Callable[[], object]:
        phi, stage = copy.deepcopy(teacher), Stage.model_validate({**STAGE, "batch": batch})
        objectives = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
        rows = TokenizedExamples(phi.space, examples)
        trained = Distillation("stage-1", stage, phi, objectives, rows, on, 0)
        return lambda: trained.advance(False)

    def generation(count: int) -> Callable[[Compute], Callable[[], object]]:
        def built(on: Compute) -> Callable[[], object]:
            phi = copy.deepcopy(teacher).eval().requires_grad_(False)
            if on.compile:
                compile_call(phi.network)
            student = DiffusionGenerator(phi.network, phi.space, 1490)
            rows = phi.space.collate(examples[:count])
            return lambda: generate_batch(student, rows, on, SamplingOptions(1))

        return built

    yield f"pretraining step, batch {batch}", pretraining
    yield f"SiD + Diffusion-GAN iteration, batch {batch}", iteration
    for count in (1, batch):
        yield f"one-step generation, text to text, batch {count}", generation(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="tiny,quick")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    args = parser.parse_args()
    compute = Compute.start(ComputeTable(precision=args.precision, threads=1))
    print(f"{compute.describe()}, torch {torch.__version__}")
    print("| size | | plain, ms | compiled, ms | compiled/plain | compiling, s |\n|---|---|---|---|---|---|")
    for size in args.sizes.split(","):
        for name, build in cases(size, args.batch, compute):
            calls = [build(replace(compute, compile=which)) for which in (False, True)]
            for _ in range(FIRST):
                calls[0]()
            started = time.perf_counter()
            for _ in range(FIRST):
                calls[1]()
            compiling = time.perf_counter() - started
            turns = [[seconds(call, compute) for call in calls] for _ in range(args.rounds)]
            plain, compiled = (median(column) for column in zip(*turns, strict=True))
            ratio = median(row[1] / row[0] for row in turns)
            print(
                f"| {size} | {name} | {1000 * plain:.1f} | {1000 * compiled:.1f} | {ratio:.2f} "
                f"| {compiling:.0f} |",
                flush=True,
            )


def seconds(call: Callable[[], object], compute: Compute) -> float:
    on_gpu = compute.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    started = clock()
    call()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - started


if __name__ == "__main__":
    main()
