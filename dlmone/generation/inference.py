"""Inference: candidates for batches of examples, keyed by example, whatever the batch size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dlmone.core import Augmenter, Batch, Codec, Example, Generated, Generator, InputError, Noise, Sample
from dlmone.core.contract import require
from dlmone.evaluation.provenance import UNKNOWN, Provenance
from dlmone.runtime.device import Compute
from dlmone.runtime.files import write_whole

from .inputs import batches
from .shares import answered


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """All that a sample depends on besides the model and its example.

    With an ``augmenter`` each candidate is generated for a variation of its example's condition.
    """

    steps: int = 1
    candidates: int = 1
    seed: int = 0
    augmenter: Augmenter | None = None


@dataclass(frozen=True, slots=True)
class GeneratedSamples:
    """Samples, the network calls (NFE) of one candidate, and its seconds from text to text."""

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
    truncation: Literal["source", "pair"] = "source",
    progress: Callable[[int], None] = lambda count: None,
) -> GeneratedSamples:
    """Generate ``candidates`` outputs for each example: `generate_batch`, batch by batch.

    Several processes share the batches. The main one returns all samples, the others none.

    With ``truncation="pair"`` a source that is too long is cut with its reference, as in training.
    Its time is that of one process, and includes tokenising, the network, rounding and detokenising.
    """
    options = SamplingOptions(steps, candidates, seed, augmenter)
    samples: list[Sample] = []
    calls, seconds = 0, 0.0
    space = generator.space
    collate = space.collate if truncation == "pair" else space.collate_conditions

    def answer(part: Sequence[Example]) -> tuple[list[Sample], int, float]:
        started = time.perf_counter()
        generated, calls = generate_batch(generator, collate(part), compute, options)
        return generated, calls, time.perf_counter() - started

    rounds = batches(examples, batch * compute.world.size)
    for part, found in answered(compute.world, rounds, batch, answer):
        generated, calls, spent = found
        samples += generated
        seconds += spent
        progress(len(part) * candidates)
    return GeneratedSamples(samples, calls, seconds / max(len(examples) * candidates, 1))


@torch.no_grad()
def generate_batch(
    generator: Generator, batch: Batch, compute: Compute, options: SamplingOptions
) -> tuple[list[Sample], int]:
    """Generate for one batch; return the samples, and the network calls that one candidate took.

    Noise is keyed by (seed, example id, candidate): a sample depends neither on the size of the batch nor
    on which other examples are in it.

    Raises:
        InputError: the sampler cannot take so many steps.
    """
    space = generator.space
    batch = batch.to(compute.device)
    outputs: list[list[str]] = []
    earlier: list[Tensor] = []
    calls = 0
    given = batch if options.augmenter else generator.encoded(batch)
    for candidate in range(options.candidates):
        noise = Noise([(options.seed, id, candidate) for id in batch.ids], compute.device)
        if options.augmenter is not None:
            varied = options.augmenter.augment(batch, space, noise)
            fits = isinstance(varied, Batch) and len(varied) == len(batch)
            require(fits, options.augmenter, "augment", f"a Batch of {len(batch)} rows", varied)
            given = generator.encoded(varied)
        generated = generate_rows(generator, given, noise, compute, options.steps, earlier)
        calls = generated.calls
        if generated.state is not None:
            earlier.append(generated.state)
        outputs.append(space.text(generated.tokens_BL, given))
    sources, references = space.source_text(batch), space.reference_text(batch)
    candidates = zip(*outputs, strict=True)
    rows = zip(batch.ids, sources, references, candidates, strict=True)
    return [Sample(*row) for row in rows], calls


@torch.no_grad()
def generate_rows(
    generator: Generator,
    batch: Batch,
    noise: Noise,
    compute: Compute,
    steps: int,
    earlier: Sequence[Tensor] = (),
) -> Generated:
    """Generate each row of a batch once, from its own noise.

    Raises:
        InputError: the sampler cannot take so many steps.
        PluginError: the generator returns something else.
    """
    with compute.autocast():
        generated = generator.generate(batch, noise, steps, earlier)
    fits = isinstance(generated, Generated) and len(generated.tokens_BL) == len(batch)
    require(fits, generator, "generate", f"Generated with {len(batch)} rows of tokens", generated)
    return generated


def collate_fitting(
    space: Codec, examples: Sequence[Example]
) -> tuple[Batch | None, list[tuple[Example, str]]]:
    """Return the batch of the examples that fit a space, if any do, and the others, each with the reason.

    Rows are made without their references: what is kept of a source never depends on its reference.
    """
    try:
        return _without_references(space, examples), []
    except InputError:
        reasons = {example.id: _misfit(space, example) for example in examples}
    fitting = [example for example in examples if reasons[example.id] is None]
    misfits = [(example, reason) for example in examples if (reason := reasons[example.id]) is not None]
    return _without_references(space, fitting) if fitting else None, misfits


def _without_references(space: Codec, examples: Sequence[Example]) -> Batch:
    # As the base class does it: a space's own may cut sources, and here those that don't fit are named.
    return Codec.collate_conditions(space, examples)


def _misfit(space: Codec, example: Example) -> str | None:
    try:
        _without_references(space, [example])
    except InputError as error:
        return str(error)
    return None


def sample_line(sample: Sample, provenance: Provenance, source: str | None = None) -> str:
    """Return a sample as the JSON line that `read_samples` reads.

    Args:
        sample: its ``source`` is what the model read: tokenised, cut, and with marks for unknown words.
        provenance: how it was generated.
        source: the text that was given, where it is at hand. It stands first, and the other in ``read_as``.
    """
    row = asdict(sample)
    if source is not None and source != sample.source:
        row |= {"source": source, "read_as": sample.source}
    if known := provenance.model_dump(exclude_none=True):
        row["provenance"] = known
    return json.dumps(row, ensure_ascii=False)


def save_samples(path: Path, samples: Iterable[Sample], provenance: Provenance = UNKNOWN) -> None:
    """Write samples as JSON lines, each with its provenance: lines can be cut, shuffled and joined."""
    write_whole(path, "".join(sample_line(sample, provenance) + "\n" for sample in samples))
