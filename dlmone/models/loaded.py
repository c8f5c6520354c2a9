"""A loaded model as its user sees it: texts in, candidates out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dlmone.core import Augmenter, Evaluator, Example, Generator, InputError, Sample
from dlmone.evaluation.provenance import Provenance, describe_plugin
from dlmone.evaluation.selection import CandidateSelector
from dlmone.generation.inference import SamplingOptions, generate_batch
from dlmone.generation.inputs import batches, examples_of
from dlmone.registry import Registry
from dlmone.registry.schema import AugmenterSlot, EvaluatorSlot, SelectorSlot
from dlmone.registry.short import slot_of
from dlmone.runtime.device import Compute

#: A plugin by its name, as ``NAME:VALUE``, or as a table with ``use`` (`dlmone.registry.short.table_of`).
PluginSpec = str | Mapping[str, Any]
#: Candidates that a selector is given where no number is asked for (the paper's MBR-10).
CANDIDATES_TO_SELECT_FROM = 10


@dataclass(frozen=True, slots=True)
class Job:
    """How a model is to write, checked.

    Attributes:
        manner: what is drawn.
        chooser: keeps one of the candidates; all are kept if None.
        provenance: what samples written so say of it, but for the calls, which the first ones tell.
    """

    manner: SamplingOptions
    chooser: CandidateSelector | None
    provenance: Provenance

    @property
    def kept(self) -> int:
        """The candidates that each sample has in the end."""
        return self.manner.candidates if self.chooser is None else 1


@dataclass(frozen=True, slots=True)
class Model:
    """A student, or a teacher, under a sampler. `load` makes one.

    Attributes:
        generator: the core generator.
        role: what its folder holds.
        fingerprint: of its weights (`folder.fingerprint`).
        sampler: how it writes in several steps, in words.
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
        """Write for texts, and return for each the list of its candidates in drawing order.

        A draw depends on the seed, the text, its id and the candidate's number; not on the other texts, and
        not on ``batch``.

        Args:
            texts: the conditions.
            candidates: draws a text; 1, or 10 to select from.
            steps: as many as a student was trained for, and 20 for a teacher, if None.
            seed: of the draws.
            batch: texts that are written for at a time.
            select: a selector, as ``"mbr"`` or ``"mbr:rouge_l"``; the lists then hold its choice alone.
            augment: varies the condition of each candidate, as ``"pad:0.5"``.
            ids: what the draws are keyed by; the text's number from 0 if None.

        Raises:
            InputError: a text does not fit (before anything is written), or a setting is wrong.
            PluginError: a plugin is not there, or it cannot be used.
        """
        job = self.job(candidates=candidates, steps=steps, seed=seed, select=select, augment=augment)
        if batch < 1:
            raise InputError(f"batch: expected a number from 1, got {batch}")
        parts = list(batches(examples_of(texts, ids), batch))
        for part in parts[1:]:  # the first is checked by being written for
            self.generator.space.collate(part)
        return [list(sample.candidates) for part in parts for sample in self.write(part, job)[0]]

    def job(
        self,
        *,
        candidates: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        select: PluginSpec | None = None,
        augment: PluginSpec | None = None,
    ) -> Job:
        """Check settings, which are those of `generate`, once for all batches that are written so.

        Raises:
            InputError: a setting is wrong.
            PluginError: a plugin is not there, or it cannot be used.
        """
        if candidates is None:
            candidates = 1 if select is None else CANDIDATES_TO_SELECT_FROM
        steps = self.steps if steps is None else steps
        for name, value in (("candidates", candidates), ("steps", steps)):
            if value < 1:
                raise InputError(f"{name}: expected a number from 1, got {value}")
        augmenter: Augmenter | None = None
        signed: dict[str, Any] = {"steps": steps, "arithmetic": self.compute.arithmetic}
        if augment is not None:
            augmenter_slot = slot_of(AugmenterSlot, augment, self.registry, "augment")
            augmenter = self.registry.create("augmenters", augmenter_slot)
            signed["augment"] = describe_plugin(self.registry, augmenter_slot)
        chooser = None
        if select is not None:
            if candidates < 2:
                raise InputError(
                    f"select {select}: it chooses among candidates, so there must be two or more"
                )
            slot = slot_of(SelectorSlot, select, self.registry, "select")
            chooser = CandidateSelector.of(self.registry, slot, self._metric, "select")
            signed |= {"selector": chooser.name(candidates), "drawn": candidates}
        provenance = Provenance.here(self.fingerprint, self.sampler, None, seed, **signed)
        return Job(SamplingOptions(steps, candidates, seed, augmenter), chooser, provenance)

    def _metric(self, name: str) -> tuple[EvaluatorSlot, Evaluator]:
        slot = EvaluatorSlot(use=name)
        made: Evaluator = self.registry.create("evaluators", slot, "select")
        return slot, made

    def write(self, examples: Sequence[Example], job: Job) -> tuple[list[Sample], Provenance]:
        """Write for one batch of examples; return the samples and their whole provenance.

        Raises:
            InputError: an example does not fit, or the sampler cannot take so many steps.
        """
        samples, calls = generate_batch(self.generator, examples, self.compute, job.manner)
        if job.chooser:
            samples = job.chooser.choose(samples)
        return samples, job.provenance.model_copy(update={"calls": calls})

    def __repr__(self) -> str:
        return f"<{self.role} {self.fingerprint}: {self.sampler}, {self.compute.arithmetic}>"
