"""DiffuSeq's training step and denoising step against an eager float32 reference, in one run.

    python benchmarks/diffuseq.py                  # released configuration, batch 8, length 128
    python benchmarks/diffuseq.py --layers 4 --width 256 --repeats 3

The two sides take turns, so that a machine that slows down slows both; medians of CPU seconds and their
ratio are printed, and the peak memory of a process that runs one side alone.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from reference import ReferenceDiffuSeq, denoising_step, training_loss

from dlmone.core import Batch, Noise
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.options import DDPMOptions, DiffuSeqOptions
from dlmone.plugins.diffuseq.samplers import DiffuSeqDDPM
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.tokenizers.words import words
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import PretrainOptimizer
from dlmone.runtime.device import Compute
from dlmone.training.updates.optimizer import MovingAverage, Optimizer

VOCABULARY, LENGTH = 30522, 128


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and the mask that is 1 at generated positions."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, VOCABULARY, (batch, LENGTH), generator=generator)
    mask = (torch.arange(LENGTH) >= 20).long().expand(batch, -1).clone()
    return ids, mask


def untrained_teacher(width: int, layers: int) -> DiffuSeqTeacher:
    """The released configuration unless told otherwise; what its tokenizer says does not matter here."""
    options = DiffuSeqOptions(width=width, layers=layers, heads=width // 64)
    return DiffuSeqTeacher(options, Tokenizer(words(["unused"])), VOCABULARY)


def reference_side(args: argparse.Namespace, bars: torch.Tensor) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    model = ReferenceDiffuSeq(width=args.width, layers=args.layers)
    average = [p.detach().clone() for p in model.parameters()]
    adam = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
    ids, mask = inputs(args.batch)
    e = model.word_embedding(ids).detach()

    def train() -> None:
        model.train()
        t_B = torch.randint(0, 2000, (args.batch,))
        adam.zero_grad()
        training_loss(model, ids, mask, t_B, bars).backward()
        adam.step()
        for target, source in zip(average, model.parameters(), strict=True):
            target.mul_(0.9999).add_(source.detach(), alpha=0.0001)

    def denoise() -> object:
        model.eval()
        return denoising_step(model, torch.randn_like(e), e, mask, 1000, bars)

    return {"training step": train, "denoising step": denoise}


def dlmone_side(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    compute = Compute.start(ComputeTable(precision=args.precision))
    teacher = untrained_teacher(args.width, args.layers)
    average = untrained_teacher(args.width, args.layers)
    averaging = MovingAverage(average, teacher)
    optimizer = Optimizer(teacher, PretrainOptimizer(lr=1e-4))
    frozen = compute.frozen_copy(teacher.network)
    ids, mask = inputs(args.batch)
    batch = Batch(tuple(map(str, range(args.batch))), ids, mask.bool())
    schedule = teacher.space.schedule
    sampler = DiffuSeqDDPM(DDPMOptions())
    given = teacher.space.embed(batch).detach()
    calls = iter(range(10**9))

    def train() -> None:
        teacher.train()
        noise = Noise([(next(calls), i) for i in range(args.batch)])
        with compute.autocast():
            answer = teacher.training_loss(batch, noise)
        answer.loss_B.mean().backward()
        optimizer.step()
        averaging.update(0.9999)

    @torch.no_grad()
    def denoise() -> object:
        x = torch.randn_like(given)
        t_B = schedule.tensor(1000, args.batch)
        with compute.autocast():
            x0 = teacher.space.round(frozen.denoise(x, t_B, batch).x0)
            after = sampler.step(schedule, x0, x, t_B, lambda: torch.randn_like(x))
            return teacher.space.pin(after, given, batch)

    return {"training step": train, "denoising step": denoise}


def timed(step: Callable[[], object]) -> float:
    """CPU seconds of all threads: on a machine that others use too, the wall says more of them."""
    started = time.process_time()
    step()
    return time.process_time() - started


def peak_memory() -> float:
    """Peak resident memory of this process in GiB (Linux; rusage would count the parent's as well)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument("--memory-of", choices=["reference", "dlmone"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    steps = torch.arange(1, 2001, dtype=torch.float64) / 2000
    bars = (1 - (steps + 1e-4).sqrt()).clamp(min=2e-7) / 0.99

    if args.memory_of:
        side = dlmone_side(args) if args.memory_of == "dlmone" else reference_side(args, bars)
        for step in side.values():
            step()
        print(peak_memory())
        return

    sides = {"reference": reference_side(args, bars), "dlmone": dlmone_side(args)}
    shape = f"{args.layers} layers of {args.width}, batch {args.batch}, length {LENGTH}"
    print(f"{shape}, precision {args.precision}, {torch.get_num_threads()} threads")
    for name in sides["reference"]:
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(args.repeats + 1):
            for side, of in sides.items():
                elapsed = timed(of[name])
                if turn:  # the first turn warms up
                    seconds[side].append(elapsed)
        medians = {side: statistics.median(values) for side, values in seconds.items()}
        ratio = medians["reference"] / medians["dlmone"]
        times = "  ".join(f"{side} {median:.3f} s" for side, median in medians.items())
        print(f"{name:15} {times}  ratio {ratio:.2f}")
    for side in sides:
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", side]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"peak memory, {side}: {float(answer.stdout):.2f} GiB")


if __name__ == "__main__":
    main()
