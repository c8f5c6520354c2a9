"""What the Triton kernels need on an A100 (sm_80) and an H100 (sm_90), compiled ahead of time, without a GPU.

    python benchmarks/kernels.py        # Triton is enough: it brings NVIDIA's assembler with it

Prints a Markdown table: registers of a thread, bytes that spill from them, shared memory of a program, and
the programs that a multiprocessor's registers and threads leave room for. Exits 1 where a kernel spills more
than `TOLERATED` bytes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dlmone.plugins.diffuseq import kernels as rounding
from dlmone.plugins.metrics.kernels import greedy, lcs, ngrams

ASSEMBLER = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
#: Compute capability by the assembler's name of it.
TARGETS = {"sm_80": 80, "sm_90a": 90}
#: Registers and threads of a multiprocessor, of both.
REGISTERS, THREADS = 65_536, 2_048

#: Greedy matching spills 12 bytes of a thread on one target with four warps, 44 on the other with eight.
TOLERATED = 16


@dataclass(frozen=True)
class Kernel:
    """A kernel as dlmone launches it: the types of its arguments, its constants, its warps."""

    function: Any
    types: dict[str, str]
    constants: dict[str, Any]
    warps: int = 4
    options: dict[str, int] = field(default_factory=dict)

    def compile(self, target: str) -> tuple[int, int, int]:
        """Return registers of a thread, bytes spilled, and bytes of shared memory."""
        source = ASTSource(
            self.function, self.types | dict.fromkeys(self.constants, "constexpr"), self.constants
        )
        options = {"num_warps": self.warps, **self.options}
        built = triton.compile(source, GPUTarget("cuda", TARGETS[target], 32), options=options)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.ptx"
            path.write_text(built.asm["ptx"])
            command = [ASSEMBLER, "-v", f"--gpu-name={target}", path, "-o", path.with_suffix(".cubin")]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        registers = int(re.findall(r"Used (\d+) registers", said)[0])
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
        return registers, spilled, built.metadata.shared


def kernels() -> dict[str, Kernel]:
    """Return every kernel at the sizes of the released models: a vocabulary of 30,522, width 128."""
    sequences = {"tokens_ptr": "*i32", "starts_ptr": "*i64", "lengths_ptr": "*i64"}
    table = {"table_ptr": "*fp32", "bias_ptr": "*fp32"}
    groups = -(-30_522 // rounding._GROUP)
    whole = {"GROUP": rounding._GROUP, "ENTRIES": 128}
    tile = {"STATES": rounding._STATES, "GROUPS": rounding._GROUPS}
    screen = {**tile, **whole, "WHOLE": True, "FORMAT": rounding._FORMAT}
    rescore = {"NEAREST": False, "ALL_GROUPS": triton.next_power_of_2(groups), **whole}
    return {
        "rounding: prepare": Kernel(
            rounding._prepare_kernel,
            {**table, "fast_ptr": "*bf16", "offset_ptr": "*fp32", "bounds_ptr": "*fp32", "rows": "i32",
             "width": "i32", "slack": "fp32"},
            {"NEAREST": False, **whole}, warps=8,
        ),
        "rounding: screen": Kernel(
            rounding._screen_kernel,
            {"x_ptr": "*fp32", "fast_ptr": "*bf16", "offset_ptr": "*fp32", "greatest_ptr": "*fp32",
             "states": "i32", "width": "i32", "groups": "i32", "tiles": "i32"},
            screen, warps=8, options={"num_stages": 2},
        ),
        "rounding: rescore": Kernel(
            rounding._rescore_kernel,
            {"x_ptr": "*fp32", **table, "greatest_ptr": "*fp32", "bounds_ptr": "*fp32", "best_ptr": "*i64",
             "rows": "i32", "width": "i32", "groups": "i32"},
            rescore,
        ),
        "n-grams: ranks": Kernel(
            ngrams._ranks_kernel, {**sequences, "ranks_ptr": "*i32", "size": "i32"},
            {"BLOCK": ngrams._BLOCK}, warps=1,
        ),
        "n-grams: matches": Kernel(
            ngrams._matches_kernel,
            {**sequences, "ranks_ptr": "*i32", "size": "i32", "pairs_ptr": "*i64", "matches_ptr": "*i32"},
            {"BLOCK": ngrams._BLOCK}, warps=1,
        ),
        "longest common subsequence": Kernel(
            lcs._lcs_kernel,
            {**sequences, "pairs_ptr": "*i64", "count": "i32", "carries_ptr": "*i8", "longest": "i32",
             "lcs_ptr": "*i32"},
            {"BLOCK": lcs._BLOCK}, warps=lcs.WARPS,
        ),
        "greedy matching": Kernel(
            greedy._match_kernel,
            {"states_ptr": "*fp32", "weights_ptr": "*fp32", "starts_ptr": "*i64", "lengths_ptr": "*i64",
             "pairs_ptr": "*i64", "lowest_ptr": "*fp32", "means_ptr": "*fp32", "width": "i32"},
            {"BLOCK": greedy._BLOCK, "ENTRIES": greedy._ENTRIES},
        ),
    }  # fmt: skip


def main() -> None:
    print("| kernel | target | warps | registers | spilled bytes | shared bytes | programs |")
    print("|---|---|---|---|---|---|---|")
    spilling = []
    for name, kernel in kernels().items():
        for target in TARGETS:
            registers, spilled, shared = kernel.compile(target)
            threads = 32 * kernel.warps
            room = min(REGISTERS // (registers * threads), THREADS // threads)
            cells = (name, target, kernel.warps, registers, spilled, f"{shared:,}", room)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            spilling += [f"{name} on {target}"] if spilled > TOLERATED else []
    print(f"\nTriton {triton.__version__}")
    if spilling:
        sys.exit(f"spills: {', '.join(spilling)}")


if __name__ == "__main__":
    main()
