"""Create and test the final evaluation's plugins before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlmone.core import (
    Augmenter,
    Evaluator,
    Example,
    Generator,
    InputError,
    Sampler,
    Teacher,
)
from dlmone.evaluation.selection import CandidateSelector
from dlmone.generation.inference import generate_samples
from dlmone.registry import Recipe, Registry
from dlmone.registry.schema import Evaluation, EvaluatorSlot, SelectionSlot, Variant
from dlmone.runtime.device import Compute

from ..stage_student import stage_student


@dataclass(frozen=True, slots=True)
class EvaluationPlugins:
    """The plugins that a recipe's section ``evaluation`` names.

    Attributes:
        evaluators: by their names in the recipe.
        teacher_sampler: how the teacher samples.
        samplers, augmenters: by the names of the variants that give one.
        selectors: with the numbers of candidates that each selects from.
    """

    evaluators: Mapping[str, Evaluator]
    teacher_sampler: Sampler
    samplers: Mapping[str, Sampler]
    augmenters: Mapping[str, Augmenter]
    selectors: Sequence[tuple[CandidateSelector, Sequence[int]]]

    @property
    def samplers_by_key(self) -> dict[str, Sampler]:
        """All samplers, by their keys in the recipe."""
        variants = {f"evaluation.variants.{name}.sampler": one for name, one in self.samplers.items()}
        return {"evaluation.teacher_sampler": self.teacher_sampler, **variants}

    @classmethod
    def of(cls, registry: Registry, config: Evaluation) -> EvaluationPlugins:
        """Create the plugins of a recipe's final evaluation.

        Raises:
            InputError: options are wrong, or one is to be selected among more candidates than are sampled.
            PluginError: a plugin cannot be used.
        """
        evaluators = {
            key: registry.create("evaluators", slot, f"evaluation.metrics.{key}")
            for key, slot in config.metrics.items()
        }
        variants = {f"evaluation.variants.{name}": (name, one) for name, one in config.variants.items()}
        return cls(
            evaluators,
            registry.create("samplers", config.teacher_sampler, "evaluation.teacher_sampler"),
            {
                name: registry.create("samplers", one.sampler, f"{where}.sampler")
                for where, (name, one) in variants.items()
                if one.sampler
            },
            {
                name: registry.create("augmenters", one.augment, f"{where}.augment")
                for where, (name, one) in variants.items()
                if one.augment
            },
            [
                _selector(registry, config, evaluators, slot, f"evaluation.select.{key}")
                for key, slot in config.select.items()
            ],
        )


def _selector(
    registry: Registry,
    config: Evaluation,
    evaluators: Mapping[str, Evaluator],
    slot: SelectionSlot,
    where: str,
) -> tuple[CandidateSelector, Sequence[int]]:
    sizes = slot.k or (config.candidates,)
    if max(sizes) > config.candidates:
        raise InputError(
            f"{where}.k: cannot select among {max(sizes)} candidates: "
            f"evaluation.candidates is {config.candidates}"
        )

    def utility(name: str) -> tuple[EvaluatorSlot, Evaluator]:
        """Return the recipe's metric of a name, or else the evaluator with its defaults."""
        if name in evaluators:
            return config.metrics[name], evaluators[name]
        other = EvaluatorSlot(use=name)
        return other, registry.create("evaluators", other, f"{where}.utility")

    return CandidateSelector.of(registry, slot, utility, where), sizes


def check_variants(
    recipe: Recipe, parts: EvaluationPlugins, teacher: Teacher, compute: Compute, examples: Sequence[Example]
) -> None:
    """Sample twice for each variant of the student, and try each augmenter: errors appear before training.

    A student of φ's weights samples; the teacher's samplers are tried by preflight.

    Raises:
        InputError: a student's sampler or an augmenter does not support a variant's settings.
    """
    config = recipe.evaluation
    for name, variant in config.variants.items():
        steps = steps_of(variant, config)
        if variant.of == "student":
            if not recipe.stages:
                raise InputError(f"evaluation.variants.{name}: this recipe trains no student")
            student = stage_student(*list(recipe.stages.items())[-1], teacher).eval()
            generator: Generator = student.with_sampler(parts.samplers.get(name))
        else:
            # Its sampler takes its steps (preflight). Conditions don't depend on it, and one call is quick.
            if name not in parts.augmenters:
                continue
            generator, steps = teacher.new_generator(teacher.space.schedule.max_time).eval(), 1
        try:
            generate_samples(
                generator,
                examples[:1],
                compute,
                steps=steps,
                candidates=2,
                augmenter=parts.augmenters.get(name),
            )
        except InputError as error:
            raise InputError(f"evaluation.variants.{name}: {error}") from error


def steps_of(variant: Variant, config: Evaluation) -> int:
    """Return a variant's number of steps."""
    return variant.steps or (1 if variant.of == "student" else config.teacher_steps[-1])
