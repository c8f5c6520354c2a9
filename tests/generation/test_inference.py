"""dlmone/generation/inference.py: processes share the batches of `generate_samples`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from dlmone.core import Batch, Example, Generator, Sample
from dlmone.generation import inference
from dlmone.generation.inference import GeneratedSamples, generate_batch, generate_samples
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.options import BleuOptions
from dlmone.registry.schema import Validation
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES
from dlmone.training.validation import ValidationResult, Validator

ALONE = Compute(torch.device("cpu"), bfloat16=False, world=World())


def test_each_process_generates_its_batches_and_the_main_one_has_all(
    together: Callable[[int], list[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches are those of one process: 2, 2, 2 and 1, of which the first one has the last too."""
    examples = [*EXAMPLES, *EXAMPLES][:7]
    examples = [Example(str(place), one.source, one.target) for place, one in enumerate(examples)]
    settings = {"candidates": 2, "seed": 3, "batch": 2}
    generator = toy_teacher().new_generator(1490).eval()
    expected = generate_samples(generator, examples, ALONE, **settings)
    sizes: list[list[int]] = [[], [], []]

    def noted(generator: Generator, batch: Batch, compute: Compute, *rest: Any) -> tuple[list[Sample], int]:
        sizes[compute.world.rank].append(len(batch))
        return generate_batch(generator, batch, compute, *rest)

    monkeypatch.setattr(inference, "generate_batch", noted)

    def share(world: World) -> tuple[GeneratedSamples, int]:
        done: list[int] = []
        compute = Compute(torch.device("cpu"), bfloat16=False, world=world)
        return generate_samples(generator, examples, compute, **settings, progress=done.append), sum(done)

    with ThreadPoolExecutor(3) as pool:
        (first, done), *others = pool.map(share, together(3))
    assert first.samples == expected.samples
    assert first.calls == expected.calls
    assert first.seconds_per_sample > 0
    assert done == 7 * 2
    assert [(found.samples, count) for found, count in others] == [([], 0), ([], 0)]
    assert sizes == [[2, 1], [2], [2]]


def test_the_main_process_alone_scores(together: Callable[[int], list[World]]) -> None:
    generator = toy_teacher().new_generator(1490).eval()

    def validate(world: World) -> ValidationResult | None:
        compute = Compute(torch.device("cpu"), bfloat16=False, world=world)
        bleu = {"bleu": BleuEvaluator(BleuOptions())}
        validator = Validator(Validation(), "stages.a", bleu, EXAMPLES, compute, seed=3)
        return validator(generator, 1)

    with ThreadPoolExecutor(2) as pool:
        first, other = pool.map(validate, together(2))
    alone = validate(World())
    assert first is not None
    assert alone is not None
    assert first.named == alone.named
    assert other is None
