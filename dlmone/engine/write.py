"""Running a generator over examples: candidates keyed by example, whatever the batch size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from dlmone.core import Augmenter, Example, Generator, Noise, Sample

from .compute import Compute
from .provenance import UNKNOWN, Provenance


@dataclass(frozen=True, slots=True)
class Written:
    """Samples, the network calls one sample took, and the seconds it took (all stages counted)."""

    samples: list[Sample]
    calls: int
    seconds_per_sample: float


@torch.no_grad()
def write_samples(
    generator: Generator,
    examples: Sequence[Example],
    compute: Compute,
    *,
    steps: int = 1,
    candidates: int = 1,
    seed: int = 0,
    batch: int = 64,
    augmenter: Augmenter | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Written:
    """Draw ``candidates`` outputs for each example, one after the other.

    Noise is keyed by (seed, example id, candidate): the draws depend neither on ``batch`` nor on which
    other examples are there. With an ``augmenter`` each candidate is written for a variation of its
    example. Tokenising, the network, rounding and detokenising all count as time.
    """
    space = generator.space
    texts: list[list[str]] = [[] for _ in examples]
    sources: list[str] = []
    references: list[str] = []
    calls = 0
    started = time.perf_counter()
    for i in range(0, len(examples), batch):
        rows = examples[i : i + batch]
        tokens = space.collate(rows).to(compute.device)
        sources += space.source_text(tokens)
        references += space.text(tokens.tokens_BL, tokens)
        earlier: list[Tensor] = []
        for candidate in range(candidates):
            noise = Noise([(seed, row.id, candidate) for row in rows], compute.device)
            given = tokens if augmenter is None else augmenter.augment(tokens, space, noise)
            with compute.autocast():
                written = generator.generate(given, noise, steps, earlier)
            calls = written.calls
            if written.state is not None:
                earlier.append(written.state)
            for j, text in enumerate(space.text(written.tokens_BL, given)):
                texts[i + j].append(text)
        progress(len(rows) * candidates)
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    samples = [
        Sample(example.id, source, reference, tuple(outputs))
        for example, source, reference, outputs in zip(examples, sources, references, texts, strict=True)
    ]
    return Written(samples, calls, seconds / max(len(examples) * candidates, 1))


def sample_line(sample: Sample, provenance: Provenance) -> str:
    """Return a sample as the JSON line that `read_draws` reads."""
    row = asdict(sample)
    if known := provenance.model_dump(exclude_none=True):
        row["provenance"] = known
    return json.dumps(row, ensure_ascii=False)


def save_samples(path: Path, samples: Iterable[Sample], provenance: Provenance = UNKNOWN) -> None:
    """Write samples as JSON lines, each with how it was written: lines can be cut, shuffled and joined."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for sample in samples:
            file.write(sample_line(sample, provenance) + "\n")
