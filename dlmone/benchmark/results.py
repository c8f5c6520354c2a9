"""The schema of timings as JSON: what ``dlmone bench --json`` prints.

docs/speed.md describes it. A key may be added; a change of meaning changes `FORMAT`.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import BaseModel

from dlmone.runtime.device import Compute

FORMAT: Final = "dlmone.bench/1"


class Spread(BaseModel):
    """Of the counted runs; an extrapolated row repeats its one value."""

    mean: float
    median: float
    min: float
    max: float


class RowResult(BaseModel):
    """One model at one setting. Times are seconds a sample, a batch's divided by its size.

    Attributes:
        model, weights: whose speed it is, and whether its weights mean anything.
        precision: of the network's products.
        steps, calls: asked for, and the network calls (NFE) made.
        runs: counted ones; 0 in an extrapolated row.
        wall, cpu: by the clock on the wall, and the CPU seconds of all threads.
        parts: means by the chosen clock, which add up to that clock's mean; none in an extrapolated row.
        overhead: the whole over the network's part, a run each.
        peak_bytes: see `dlmone.runtime.memory`.
        extrapolated_from: the calls of the two rows whose line this one lies on.
    """

    model: str
    weights: str
    precision: str
    steps: int
    calls: int
    batch: int
    runs: int
    wall: Spread
    cpu: Spread
    parts: dict[str, float]
    overhead: Spread | None
    samples_per_second: float
    peak_bytes: int | None
    extrapolated_from: tuple[int, int] | None = None


class Ratio(BaseModel):
    """How many times longer a model takes than the fastest row, at its own faster precision."""

    model: str
    precision: str
    calls: int
    extrapolated: bool
    times: float


class Machine(BaseModel):
    """What the times belong to."""

    device: str
    processor: str
    cores: int | None
    threads: int
    python: str
    libraries: dict[str, str]

    @classmethod
    def here(cls, compute: Compute) -> Machine:
        on_gpu = compute.device.type == "cuda"
        return cls(
            device=torch.cuda.get_device_name(compute.device) if on_gpu else "CPU",
            processor=_processor(),
            cores=os.cpu_count(),
            threads=torch.get_num_threads(),
            python=platform.python_version(),
            libraries={name: version(name) for name in ("dlmone", "torch", "numpy", "tokenizers")},
        )


class BenchResults(BaseModel):
    """All of one run."""

    format: Literal["dlmone.bench/1"] = FORMAT
    machine: Machine
    clock: Literal["wall", "cpu"]
    rows: list[RowResult]
    ratios: list[Ratio]


def _processor() -> str:
    """Return the processor's name; Linux tells it in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
