"""Rounding and the logits' arg max on the CPU against the official formulas, in one run.

    OMP_NUM_THREADS=1 python benchmarks/rounding.py                # 1,024 states × 30,522 rows × 128

The two sides take turns; printed are the best CPU seconds of each, their ratio, the peak of memory that each
takes beyond its inputs (Linux), and for how many states the two sides name the same row.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from reference import nearest
from torch import Tensor
from torch.nn import functional

from dlmone.plugins.diffuseq import rounding as screened
from dlmone.plugins.diffuseq.rounding import best_logit, nearest_row

Problem = tuple[Tensor, Tensor, Tensor]


def problem(args: argparse.Namespace) -> Problem:
    """States, a table as DiffuSeq initialises it, and a bias as a Linear of its width has."""
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(args.states, args.width, generator=generator)
    table_VD = torch.randn(args.rows, args.width, generator=generator)
    bias_V = (2 * torch.rand(args.rows, generator=generator) - 1) * args.width**-0.5
    return x_ND, table_VD, bias_V


def official_rounding(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor) -> Tensor:
    return nearest(table_VD, x_ND)


def rounding(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor) -> Tensor:
    return functional.embedding(nearest_row(x_ND, table_VD), table_VD)


@torch.no_grad()
def official_decoding(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor) -> Tensor:
    return functional.linear(x_ND, table_VD, bias_V).topk(k=1, dim=-1).indices[:, 0]


SIDES: dict[str, dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "rounding": {"official": official_rounding, "dlmone": rounding},
    "decoding": {"official": official_decoding, "dlmone": best_logit},
}


def memory(field: str) -> float:
    """A field of this process's memory, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if field in line)
    return int(line.split()[1]) / 1024


def extra_memory(side: Callable[[Tensor, Tensor, Tensor], Tensor], given: Problem) -> float:
    """Return the peak that one call adds, in MiB, after a small one has loaded what is loaded once."""
    x_ND, table_VD, bias_V = given
    side(x_ND[:20], table_VD[:100], bias_V[:100])
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    side(*given)
    return memory("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=30522)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--screen", choices=["float32", "bfloat16"], help="this processor's by default")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    given = problem(args)
    if args.screen:
        screened.bfloat16_pays = lambda device: args.screen == "bfloat16"
    if args.memory_of:
        task, side = args.memory_of
        print(extra_memory(SIDES[task][side], given))
        return

    format = "bfloat16" if screened.bfloat16_pays(torch.device("cpu")) else "float32"
    print(
        f"{args.states} states × {args.rows} rows × {args.width}, {torch.get_num_threads()} threads, ", end=""
    )
    print(f"screened in {format}")
    for task, sides in SIDES.items():
        best = dict.fromkeys(sides, float("inf"))
        answers = {}
        for _ in range(args.repeats):
            for side, run in sides.items():
                started = time.process_time()
                answers[side] = run(*given)
                best[side] = min(best[side], time.process_time() - started)
        peaks = {}
        for side in sides:
            command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", task, side]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[side] = float(answer.stdout)
        same = (answers["official"] == answers["dlmone"]).view(args.states, -1).all(1).sum()
        figures = "  ".join(f"{side} {best[side]:.3f} s {peaks[side]:.0f} MiB" for side in sides)
        speed, size = (of["official"] / of["dlmone"] for of in (best, peaks))
        print(f"{task:9} {figures}  {speed:.1f} times faster, 1/{size:.0f} of the memory, ", end="")
        print(f"the same row for {same} states")


if __name__ == "__main__":
    main()
