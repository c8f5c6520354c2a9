"""Running a generator over examples: candidates keyed by example, whatever the batch size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from dlmone.core import Augmenter, Codec, Example, Generator, InputError, Noise, Sample
from dlmone.evaluation.provenance import UNKNOWN, Provenance
from dlmone.runtime.device import Compute

from .inputs import batches


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How samples are drawn: all that a draw depends on but the model and its example.

    With an ``augmenter`` each candidate is written for a variation of its example.
    """

    steps: int = 1
    candidates: int = 1
    seed: int = 0
    augmenter: Augmenter | None = None


@dataclass(frozen=True, slots=True)
class GeneratedSamples:
    """Samples, the network calls one candidate took, and the seconds it took (all stages counted)."""

    samples: list[Sample]
    calls: int
    seconds_per_sample: float


def generate_samples(
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
) -> GeneratedSamples:
    """Draw ``candidates`` outputs for each example: `generate_batch`, batch by batch.

    Tokenising, the network, rounding and detokenising all count as time.
    """
    manner = SamplingOptions(steps, candidates, seed, augmenter)
    samples: list[Sample] = []
    calls = 0
    started = time.perf_counter()
    for part in batches(examples, batch):
        written, calls = generate_batch(generator, part, compute, manner)
        samples += written
        progress(len(part) * candidates)
    seconds = time.perf_counter() - started
    return GeneratedSamples(samples, calls, seconds / max(len(examples) * candidates, 1))


@torch.no_grad()
def generate_batch(
    generator: Generator, examples: Sequence[Example], compute: Compute, manner: SamplingOptions
) -> tuple[list[Sample], int]:
    """Draw outputs for one batch of examples; return the samples, and the calls that one candidate took.

    Noise is keyed by (seed, example id, candidate): the draws depend neither on the size of the batch nor
    on which other examples are in it.

    Raises:
        InputError: an example does not fit the model, or the sampler cannot take so many steps.
    """
    space = generator.space
    tokens = space.collate(examples).to(compute.device)
    outputs: list[list[str]] = []
    earlier: list[Tensor] = []
    calls = 0
    for candidate in range(manner.candidates):
        noise = Noise([(manner.seed, example.id, candidate) for example in examples], compute.device)
        given = tokens if manner.augmenter is None else manner.augmenter.augment(tokens, space, noise)
        with compute.autocast():
            written = generator.generate(given, noise, manner.steps, earlier)
        calls = written.calls
        if written.state is not None:
            earlier.append(written.state)
        outputs.append(space.text(written.tokens_BL, given))
    sources, references = space.source_text(tokens), space.text(tokens.tokens_BL, tokens)
    samples = [
        Sample(example.id, source, reference, candidates)
        for example, source, reference, candidates in zip(
            examples, sources, references, zip(*outputs, strict=True), strict=True
        )
    ]
    return samples, calls


def split_fitting(
    space: Codec, examples: Sequence[Example]
) -> tuple[list[Example], list[tuple[Example, str]]]:
    """Part examples into those that fit a space, and the others, each with what is wrong with it."""
    try:
        space.collate(examples)
    except InputError as error:
        if len(examples) == 1:
            return [], [(examples[0], str(error))]
        fitting, others = zip(*(split_fitting(space, [example]) for example in examples), strict=True)
        return [*chain(*fitting)], [*chain(*others)]
    return list(examples), []


def sample_line(sample: Sample, provenance: Provenance) -> str:
    """Return a sample as the JSON line that `read_samples` reads."""
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
