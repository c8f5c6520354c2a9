"""Every Triton kernel of dlmone: built, checked against its CPU path, timed, and held against its target.

    python benchmarks/gpu.py                # on a CUDA machine; prints a Markdown table
    python benchmarks/gpu.py --interpret    # checks at small sizes, without a GPU and without timing

A time is the median of CUDA events over `REPEATS` calls, after the first ones have built and warmed up. The
table ends with the machine, so that it can be committed as it is. Exits 1 where there is no GPU, where a
kernel disagrees with its CPU path, or where a target is missed.
"""

import argparse
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

if "--interpret" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch
from torch import Tensor

from dlmone.plugins.diffuseq.rounding import best_logit, nearest_row
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.greedy import Embedded, matched_means
from dlmone.plugins.metrics.lcs import lcs_lengths
from dlmone.plugins.metrics.ngrams import clipped_matches, ranks
from dlmone.plugins.metrics.options import BleuOptions
from dlmone.plugins.metrics.tokens import encode_groups, on_device
from dlmone.plugins.selection.mbr import utilities

WARM_UP, REPEATS = 5, 20
MBR = "MBR matrices, from texts"


@dataclass(frozen=True)
class Sizes:
    """What the kernels are given: full sizes on a GPU, a few tiles' worth under the interpreter."""

    states: int
    rows: int
    width: int
    examples: int
    candidates: int
    embedding: int


GPU = Sizes(states=50 * 128, rows=30522, width=128, examples=2500, candidates=10, embedding=1024)
INTERPRETED = Sizes(states=9, rows=300, width=48, examples=3, candidates=3, embedding=80)


@dataclass(frozen=True)
class Case:
    """A kernel's call and its CPU path's on the same input, and how far the answers may be apart."""

    name: str
    size: str
    kernel: Callable[[], Any]
    cpu: Callable[[], Any]
    tolerance: float = 0.0

    def difference(self) -> float:
        """Return the greatest difference between the two answers."""
        pairs = zip(parts(self.kernel()), parts(self.cpu()), strict=True)
        return max(float((there.double() - here.double()).abs().max()) for there, here in pairs)


def parts(answer: Any) -> list[Tensor]:
    """Return an answer as tensors on the CPU."""
    many = answer if isinstance(answer, tuple) else (answer,)
    return [torch.as_tensor(one).cpu() for one in many]


def milliseconds(call: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


# -- inputs ------------------------------------------------------------------------------------------------


def states_and_table(sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(sizes.states, sizes.width, generator=generator)
    table_VD = torch.randn(sizes.rows, sizes.width, generator=generator)
    return x_ND, table_VD, torch.randn(sizes.rows, generator=generator) * sizes.width**-0.5


def texts(sizes: Sizes) -> list[list[str]]:
    """Candidates of 5 to 25 words that share many of them."""
    draw = random.Random(0)
    groups = []
    for _ in range(sizes.examples):
        words = [f"w{draw.randrange(5000)}" for _ in range(12)]
        groups.append([" ".join(draw.choices(words, k=draw.randint(5, 25))) for _ in range(sizes.candidates)])
    return groups


def embedded(sizes: Sizes) -> tuple[Embedded, Tensor]:
    """Two sentences an example, of 7 to 40 tokens, and the pairs of them."""
    generator = torch.Generator().manual_seed(0)
    lengths_S = torch.randint(7, 41, (2 * sizes.examples,), generator=generator)
    states_TD = torch.randn(int(lengths_S.sum()), sizes.embedding, generator=generator)
    states_TD /= states_TD.norm(dim=1, keepdim=True)
    sentences = Embedded(states_TD, torch.ones(len(states_TD)), lengths_S.cumsum(0) - lengths_S, lengths_S)
    return sentences, torch.arange(2 * sizes.examples).view(-1, 2)


# -- cases -------------------------------------------------------------------------------------------------


def cases(sizes: Sizes, device: str) -> list[Case]:
    from dlmone.plugins.diffuseq.kernels import best_row
    from dlmone.plugins.metrics.kernels.greedy import matched_means as matched_by_kernel
    from dlmone.plugins.metrics.kernels.lcs import lcs_lengths as lcs_by_kernel
    from dlmone.plugins.metrics.kernels.ngrams import clipped_matches as matches_by_kernel
    from dlmone.plugins.metrics.kernels.ngrams import ranks as ranks_by_kernel

    x_ND, table_VD, bias_V = states_and_table(sizes)
    x, table, bias = (given.to(device) for given in (x_ND, table_VD, bias_V))
    product = f"{sizes.states:,} × {sizes.rows:,} × {sizes.width}"

    groups = texts(sizes)
    sequences, pairs_P2 = encode_groups(groups, str.split)
    there, pairs = on_device(device, sequences, pairs_P2)
    pooled, pooled_there = (held.pooled(sizes.candidates) for held in (sequences, there))
    many = f"{len(pairs_P2):,} pairs"

    sentences, matched_P2 = embedded(sizes)
    sentences_there = Embedded(*(getattr(sentences, field.name).to(device) for field in fields(Embedded)))
    matched, lowest_P2 = matched_P2.to(device), torch.full(matched_P2.shape, -torch.inf)
    lowest = lowest_P2.to(device)
    checked = [
        Case("rounding", product, lambda: best_row(x, table, None), lambda: nearest_row(x_ND, table_VD)),
        Case(
            "rounding, bfloat16 states",
            product,
            lambda: best_row(x.bfloat16(), table, None),
            lambda: nearest_row(x_ND.bfloat16(), table_VD),
        ),
        Case(
            "logits' arg max",
            product,
            lambda: best_row(x, table, bias),
            lambda: best_logit(x_ND, table_VD, bias_V),
        ),
        Case(
            "clipped n-gram matches",
            many,
            lambda: matches_by_kernel(there, pairs),
            lambda: clipped_matches(sequences, pairs_P2),
        ),
        Case(
            "longest common subsequence",
            many,
            lambda: lcs_by_kernel(there, pairs),
            lambda: lcs_lengths(sequences, pairs_P2),
        ),
        Case(
            "ranks of n-grams",
            f"{sizes.examples:,} groups of {sizes.candidates}",
            lambda: ranks_by_kernel(pooled_there),
            lambda: ranks(pooled),
        ),
        Case(
            "greedy matching",
            f"{len(matched_P2):,} pairs × {sizes.embedding}",
            lambda: matched_by_kernel(sentences_there, matched, lowest),
            lambda: matched_means(sentences, matched_P2, lowest_P2),
            tolerance=1e-5,
        ),
    ]
    if device == "cuda":  # from texts to matrices: on the CPU there would be nothing to compare
        size = f"{sizes.examples:,} × {sizes.candidates}"
        by_kernel, plain = (BleuEvaluator(BleuOptions(device=name)) for name in (device, "cpu"))
        on_gpu, on_cpu = (partial(utilities, groups, metric) for metric in (by_kernel, plain))
        checked.append(Case(MBR, size, on_gpu, on_cpu))
    return checked


# -- targets -----------------------------------------------------------------------------------------------


def official_rounding(x_ND: Tensor, table_VD: Tensor) -> Tensor:
    """DiffuSeq's formula: |E|² + |x|² − 2·E·x over the whole vocabulary, clamped, top-1."""
    distance_VN = table_VD.square().sum(-1)[:, None] + x_ND.square().sum(-1) - 2.0 * table_VD @ x_ND.T
    return torch.topk(-distance_VN.clamp(min=0.0), k=1, dim=0).indices


def targets(sizes: Sizes, measured: dict[str, float]) -> list[tuple[str, float, str, bool]]:
    """Return what is compared, its measure, the target, and whether it is met."""
    x, table, _ = (given.cuda() for given in states_and_table(sizes))
    fast_x, fast_table = x.bfloat16(), table.bfloat16()
    torch.set_float32_matmul_precision("highest")
    official = milliseconds(lambda: official_rounding(x, table))
    plain = {"bfloat16": milliseconds(lambda: fast_x @ fast_table.T)}
    torch.set_float32_matmul_precision("high")
    plain["tf32"] = milliseconds(lambda: x @ table.T)
    rounding, gain = measured["rounding"], official / measured["rounding"]
    rows = [
        (f"rounding / {name} product, {time:.3f} ms", ratio, "at most 1.5", ratio <= 1.5)
        for name, time in plain.items()
        for ratio in (rounding / time,)
    ]
    rows.append((f"official float32 rounding, {official:.3f} ms, / rounding", gain, "at least 4", gain >= 4))
    name = "clipped n-gram matches"
    rows.append((f"{name}, ms", measured[name], "under 50", measured[name] < 50))
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interpret", action="store_true", help="check under Triton's interpreter")
    args = parser.parse_args()
    if not args.interpret and not torch.cuda.is_available():
        sys.exit("There is no CUDA device here; --interpret checks the kernels without one.")
    sizes, device = (INTERPRETED, "cpu") if args.interpret else (GPU, "cuda")
    good, rows, measured = True, [], {}
    for case in cases(sizes, device):
        print(f"{case.name} …", file=sys.stderr)
        difference = case.difference()
        good &= difference <= case.tolerance
        rows.append([case.name, case.size, f"{difference:.1e}"])
        if not args.interpret:
            measured[case.name] = milliseconds(case.kernel)
            rows[-1].append(f"{measured[case.name]:.3f}")
    head = ["kernel", "input", "greatest difference to the CPU's path", "ms"]
    print(table(head[: len(rows[0])], rows))
    if measured:
        compared = targets(sizes, measured)
        good &= all(met for *_, met in compared)
        lines = [[what, f"{value:.2f}", aim, "yes" if met else "no"] for what, value, aim, met in compared]
        print("\n" + table(["target", "measured", "aim", "met"], lines))
        print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
