"""A loaded model: texts in, candidates out."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from dlmone.core import Augmenter, Batch, Evaluator, Generator, InputError, Sample
from dlmone.evaluation.provenance import Provenance, describe_plugin
from dlmone.evaluation.selection import CandidateSelector
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.generation.inputs import batches, examples_of
from dlmone.generation.readings import CutSources
from dlmone.registry import Registry
from dlmone.registry.explain import shortened
from dlmone.registry.fields.bounds import MOST_AT_ONCE, MOST_CALLS
from dlmone.registry.schema import AugmenterSlot, EvaluatorSlot, SelectorSlot
from dlmone.registry.short import slot_of
from dlmone.runtime.device import Compute

_log = logging.getLogger(__name__)
#: A plugin by its name, as ``NAME:VALUE``, or as a table with ``use`` (`dlmone.registry.short.table_of`).
PluginSpec = str | Mapping[str, Any]
#: Candidates that a selector is given where no number is asked for (the paper's MBR-10).
CANDIDATES_TO_SELECT_FROM = 10


def require_number(name: str, value: int, most: int, least: int = 1) -> None:
    """Raise InputError if a setting is no whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        shown = shortened(repr(value)) if not isinstance(value, int) or value.bit_length() < 999 else "more"
        raise InputError(f"{name}: expected a whole number from {least:,} to {most:,}, got {shown}")


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Checked settings of a model's inference.

    Attributes:
        sampling: steps, candidates, seed and augmentation.
        selector: keeps one of the candidates; all are kept if None.
        provenance: of the samples, all but the number of network calls, which the first ones tell.
    """

    sampling: SamplingOptions
    selector: CandidateSelector | None
    provenance: Provenance

    @property
    def kept(self) -> int:
        """The number of candidates that each sample has in the end."""
        return self.sampling.candidates if self.selector is None else 1


@dataclass(frozen=True, slots=True)
class Model:
    """A student, or a teacher, under a sampler. `load` makes one.

    Attributes:
        generator: the core generator.
        role: what its folder holds.
        fingerprint: of its weights (`folder.fingerprint`).
        sampler: the sampler's name with its options.
        steps: the steps it takes where none are asked for.
        compute: device and precision.
        registry: where selectors and augmenters are looked up.
    """

    generator: Generator
    role: Literal["student", "teacher"]
    fingerprint: str
    sampler: str
    steps: int
    compute: Compute
    registry: Registry

    def generate(
        self,
        texts: Iterable[str],
        *,
        candidates: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        batch: int = 64,
        select: PluginSpec | None = None,
        augment: PluginSpec | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[list[str]]:
        """Generate for texts; return for each the list of its candidates in the order of their numbers.

        A sample depends on the seed, the text, its id and the candidate's number; not on the other texts,
        and not on ``batch``.

        Args:
            texts: the conditions.
            candidates: samples a text; 1, or 10 to select from.
            steps: as many as a student was trained for, and 20 for a teacher, if None.
            seed: of the noise.
            batch: texts in a batch.
            select: a selector, as ``"mbr"`` or ``"mbr:rouge_l"``; the lists then hold the selected
                candidate alone.
            augment: varies the condition of each candidate, as ``"pad:0.5"``.
            ids: key the noise; the text's number from 0 if None.

        Raises:
            InputError: a text does not fit (before anything is generated), or a setting is wrong.
            PluginError: a plugin is not there, or it cannot be used.
        """
        config = self.configure(candidates=candidates, steps=steps, seed=seed, select=select, augment=augment)
        require_number("batch", batch, MOST_AT_ONCE)
        space, examples = self.generator.space, examples_of(texts, ids)
        parts = [space.collate(part) for part in batches(examples, batch)]
        samples = [sample for part in parts for sample in self.generate_batch(part, config)[0]]
        cut = CutSources(space)
        cut.look(samples, {example.id: example.source for example in examples})
        if cut.ids:
            warnings.warn(cut.sentence, stacklevel=2)
        return [list(sample.candidates) for sample in samples]

    def configure(
        self,
        *,
        candidates: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        select: PluginSpec | None = None,
        augment: PluginSpec | None = None,
    ) -> GenerationConfig:
        """Check settings, which are those of `generate`, once for all batches.

        Raises:
            InputError: a setting is wrong.
            PluginError: a plugin is not there, or it cannot be used.
        """
        if candidates is None:
            candidates = 1 if select is None else CANDIDATES_TO_SELECT_FROM
        steps = self.steps if steps is None else steps
        require_number("candidates", candidates, MOST_CALLS)
        require_number("steps", steps, MOST_CALLS)
        require_number("seed", seed, 2**63 - 1, -(2**63))
        augmenter: Augmenter | None = None
        signed: dict[str, Any] = {"steps": steps, "precision": self.compute.precision}
        if augment is not None:
            augmenter_slot = slot_of(AugmenterSlot, augment, self.registry, "augment")
            augmenter = self.registry.create("augmenters", augmenter_slot)
            signed["augment"] = describe_plugin(self.registry, augmenter_slot)
        selector = None
        if select is not None:
            if candidates < 2:
                raise InputError(
                    f"select {select}: it selects among candidates, so there must be two or more"
                )
            slot = slot_of(SelectorSlot, select, self.registry, "select")
            selector = CandidateSelector.of(self.registry, slot, self._metric, "select")
            signed |= {"selector": selector.name(candidates), "drawn": candidates}
        provenance = Provenance.here(self.fingerprint, self.sampler, None, seed, **signed)
        return GenerationConfig(SamplingOptions(steps, candidates, seed, augmenter), selector, provenance)

    def _metric(self, name: str) -> tuple[EvaluatorSlot, Evaluator]:
        slot = EvaluatorSlot(use=name)
        made: Evaluator = self.registry.create("evaluators", slot, "select")
        return slot, made

    def generate_batch(self, batch: Batch, config: GenerationConfig) -> tuple[list[Sample], Provenance]:
        """Generate for one batch of the model's space; return the samples and their whole provenance.

        Raises:
            InputError: the sampler cannot take so many steps.
        """
        started = time.perf_counter()
        samples, calls = generate_batch(self.generator, batch, self.compute, config.sampling)
        took = time.perf_counter() - started
        _log.info("%d texts, %d candidates each, in %.2f s", len(batch), config.sampling.candidates, took)
        if config.selector:
            samples = config.selector.choose(samples)
        return samples, config.provenance.model_copy(update={"calls": calls})

    def __repr__(self) -> str:
        return f"<{self.role} {self.fingerprint}: {self.sampler}, {self.compute.precision}>"
