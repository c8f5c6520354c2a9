"""From noise to text: what a teacher's estimate of x0 decodes to at each of its network calls."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone.core import Batch, Denoised, Denoiser, Example, Noise, SampledGenerator
from dlmone.runtime.device import Compute

from .results import NoiseToText

#: Examples that are followed, and the most network calls of a teacher that are worth following.
FOLLOWED, LONGEST = 3, 100


def steps_followed(teacher_steps: Sequence[int]) -> int | None:
    """Return the number of steps to follow, of an evaluation's: several, and as many as are not too many."""
    several = [steps for steps in teacher_steps if steps > 1]
    few = [steps for steps in several if steps <= LONGEST]
    return max(few) if few else min(several, default=None)


@torch.no_grad()
def follow(
    generator: SampledGenerator, examples: Sequence[Example], compute: Compute, steps: int, seed: int
) -> NoiseToText:
    """Sample the first candidates of some examples, and decode every estimate of x0 on the way.

    The noise is that of the first candidate of `generate_samples`: the last text is the teacher's, and a
    student's first candidate is made of the same noise.
    """
    space = generator.space
    batch = generator.encoded(space.collate_conditions(examples).to(compute.device))
    noise = Noise([(seed, id, 0) for id in batch.ids], compute.device)
    network, estimates = _watched(generator.network, batch)
    with compute.autocast():
        generated = generator.with_network(network).generate(batch, noise, steps)
        decoded = [generator.network.decode(x0, batch, space)[0] for x0 in estimates[:-1]]
    # Of the last estimate the sampler makes its output, which rounding can have moved to other tokens.
    texts = [space.text(tokens_BL, batch) for tokens_BL in (*decoded, generated.tokens_BL)]
    rows = [list(row) for row in zip(*texts, strict=True)]
    sources = space.source_text(batch)
    return NoiseToText(ids=list(batch.ids), sources=sources, calls=generated.calls, texts=rows)


def _watched(network: Denoiser, batch: Batch) -> tuple[Denoiser, list[Tensor]]:
    """Return a network of the same weights, and the list to which it adds its estimates for ``batch``."""
    estimates: list[Tensor] = []
    watched = copy.copy(network)

    def denoise(e_t: Tensor, t_B: Tensor, condition: Batch, **wanted: Any) -> Denoised:
        found = network.denoise(e_t, t_B, condition, **wanted)
        if condition is batch:
            estimates.append(found.x0)
        return found

    watched.denoise = denoise  # type: ignore[method-assign, assignment]
    return watched, estimates
