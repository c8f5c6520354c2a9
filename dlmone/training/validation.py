"""Validate models during training: run the recipe's evaluators and find the deciding score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dlmone.core import Evaluator, Example, Generator, InputError, Sample, Score
from dlmone.evaluation.confidence import Resampling, Sums
from dlmone.evaluation.evaluators import health, iter_scores, score_samples
from dlmone.generation.inference import generate_samples
from dlmone.registry import Recipe
from dlmone.registry.explain import nearest
from dlmone.registry.schema import Validation
from dlmone.runtime.device import Compute


def validations(recipe: Recipe) -> dict[str, Validation]:
    """Return a run's validations by their section: pretraining's, and each stage's."""
    pretrain = None if recipe.teacher.path else recipe.teacher.pretrain
    found = {"teacher.pretrain": pretrain.validation} if pretrain else {}
    return found | {f"stages.{name}": stage.validation for name, stage in recipe.stages.items()}


def validation_evaluators(
    evaluators: Mapping[str, Evaluator], validation: Validation, where: str
) -> dict[str, Evaluator]:
    """Return the evaluators of a validation.

    Raises:
        InputError: it names one that ``evaluation.metrics`` does not have.
    """
    for name in validation.metrics:
        if name not in evaluators:
            there = nearest(name, evaluators) or "; the recipe has no evaluation.metrics at all"
            raise InputError(f"{where}.validation.metrics: there is no evaluation.metrics.{name}{there}")
    return {name: evaluators[name] for name in validation.metrics or evaluators}


def check_metrics(recipe: Recipe, evaluators: Mapping[str, Evaluator], examples: Sequence[Example]) -> None:
    """Score a few references as if generated, so that errors appear before training.

    Raises:
        InputError: an evaluator does not fit the data, or no evaluator gives a validation's metric.
    """
    draws = recipe.evaluation.candidates
    samples = [Sample(e.id, e.source, e.target, (e.target,) * draws) for e in examples[:4]]
    score_samples(samples, evaluators)
    for where, config in validations(recipe).items():
        drawn = [replace(sample, candidates=(sample.reference,) * config.candidates) for sample in samples]
        scores = score_samples(drawn, validation_evaluators(evaluators, config, where))
        deciding_score(scores, config.metric, where)


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The result of a validation.

    Attributes:
        deciding: the score named by ``validation.metric``, or the first.
        interval: the bootstrap interval of the deciding score; None if it is not a function of sums.
        named: all scores and signs of degeneration by name.
        samples: what was scored.
    """

    deciding: Score
    interval: tuple[float, float] | None
    named: dict[str, float]
    samples: list[Sample]

    @property
    def logged_interval(self) -> dict[str, float]:
        """The interval as it is logged."""
        return dict(zip(INTERVAL, self.interval, strict=True)) if self.interval else {}


#: The ends of the deciding score's interval in the log.
INTERVAL = ("interval/low", "interval/high")


class Validator:
    """Score a model's samples for the first rows of the validation split.

    Args:
        validation: numbers of rows and candidates, evaluators, and the deciding score.
        where: its section of the recipe, for errors.
        evaluators: those of the recipe.
        examples: the validation split.
        compute: device and precision.
        seed: the run's seed; every validation samples with the same noise.

    Raises:
        InputError: the section names an evaluator that the recipe does not have.
    """

    def __init__(
        self,
        validation: Validation,
        where: str,
        evaluators: Mapping[str, Evaluator],
        examples: Sequence[Example],
        compute: Compute,
        seed: int,
    ) -> None:
        self.validation, self.where, self.compute, self.seed = validation, where, compute, seed
        self.evaluators = validation_evaluators(evaluators, validation, where)
        self.examples = examples[: validation.examples]
        self.metric = validation.metric or self._first_score()

    def _first_score(self) -> str:
        """Return the name of the first score, from a reference scored as if it had been generated."""
        [row] = self.examples[:1]
        drawn = (row.target,) * self.validation.candidates
        return score_samples([Sample(row.id, row.source, row.target, drawn)], self.evaluators)[0].name

    def __call__(self, generator: Generator, steps: int) -> ValidationResult | None:
        """Return the scores of a model that samples in ``steps`` steps.

        All processes sample. The main one scores; the others return None.

        Raises:
            InputError: no evaluator gives the deciding score.
        """
        samples = generate_samples(
            generator,
            self.examples,
            self.compute,
            steps=steps,
            candidates=self.validation.candidates,
            seed=self.seed,
        ).samples
        if not self.compute.world.main:
            return None
        found = list(iter_scores(samples, self.evaluators))
        deciding = deciding_score([score for score, _ in found], self.metric, self.where)
        sums = next(Sums.of(score, by, samples) for score, by in found if score is deciding)
        interval = Resampling().intervals([sums])[0] if sums else None
        named = {score.name: score.value for score, _ in found}
        signs = health(samples, generator.space.unknown)
        return ValidationResult(deciding, interval, named | signs, samples)


def improves(score: Score, best: float | None) -> bool:
    """Tell whether a validation score beats the best one so far; one that is not finite beats none."""
    if not math.isfinite(score.value):
        return False
    if best is None:
        return True
    return score.value < best if score.direction == "lower" else score.value > best


def deciding_score(scores: Sequence[Score], metric: str | None, where: str) -> Score:
    """Return the score that selects checkpoints: that of the name ``metric``, or the first.

    Raises:
        InputError: no evaluator of the recipe gives it.
    """
    for score in scores:
        if metric is None or score.name == metric:
            return score
    raise InputError(
        f"{where}.validation.metric: no evaluator that it runs gives a score {metric!r}; "
        + (
            f"they give {', '.join(score.name for score in scores)}"
            if scores
            else "it runs none that gives any"
        )
    )
