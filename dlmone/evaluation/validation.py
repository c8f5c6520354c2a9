"""Judging samples: the recipe's evaluators, and the signs of degeneration that every validation logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from dlmone.core import Evaluator, Example, InputError, Sample, Score
from dlmone.core.degeneration import is_copy, is_empty, repeats
from dlmone.registry import Recipe
from dlmone.registry.schema import Validation


def validation_evaluators(
    evaluators: Mapping[str, Evaluator], validation: Validation, where: str
) -> dict[str, Evaluator]:
    """Return the evaluators that a validation runs.

    Raises:
        InputError: it names one that ``evaluation.metrics`` does not have.
    """
    for name in validation.metrics:
        if name not in evaluators:
            raise InputError(
                f"{where}.validation.metrics: there is no evaluation.metrics.{name}; "
                f"there are {', '.join(evaluators)}"
            )
    return {name: evaluators[name] for name in validation.metrics or evaluators}


def check_metrics(recipe: Recipe, evaluators: Mapping[str, Evaluator], examples: Sequence[Example]) -> None:
    """Score a few references as if they had been generated, so that what cannot work fails before training.

    Raises:
        InputError: an evaluator does not fit the data, or a validation's metric is given by none.
    """
    draws = recipe.evaluation.candidates
    samples = [Sample(e.id, e.source, e.target, (e.target,) * draws) for e in examples[:4]]
    score_samples(samples, evaluators)
    for name, stage in recipe.stages.items():
        config, where = stage.validation, f"stages.{name}"
        drawn = [replace(sample, candidates=(sample.reference,) * config.candidates) for sample in samples]
        deciding_score(score_samples(drawn, validation_evaluators(evaluators, config, where)), config, where)


def score_samples(samples: Sequence[Sample], evaluators: Mapping[str, Evaluator]) -> list[Score]:
    """Run the evaluators that find enough candidates in the samples.

    Raises:
        InputError: two of them give scores of one name.
    """
    return [score for score, _ in iter_scores(samples, evaluators)]


def iter_scores(
    samples: Sequence[Sample], evaluators: Mapping[str, Evaluator]
) -> Iterator[tuple[Score, Evaluator]]:
    """Yield what `judge` returns, each score with the evaluator that gave it."""
    drawn = min(len(sample.candidates) for sample in samples)
    owners: dict[str, str] = {}
    for name, evaluator in evaluators.items():
        if evaluator.candidates > drawn:
            continue
        for score in evaluator.evaluate(samples):
            if (owner := owners.setdefault(score.name, name)) != name:
                raise InputError(f"the metrics {owner} and {name} both give a score {score.name!r}: drop one")
            yield score, evaluator


def health(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the shares of empty, repetitive and copied first candidates, and their mean length in words."""
    firsts = [(sample.candidates[0], sample.source) for sample in samples]
    return {
        "empty": fmean(is_empty(text) for text, _ in firsts),
        "repetitive": fmean(repeats(text) for text, _ in firsts),
        "copied": fmean(is_copy(text, source) for text, source in firsts),
        "mean_length": fmean(len(text.split()) for text, _ in firsts),
    }


def improves(score: Score, best: float | None) -> bool:
    """Tell whether a validation score beats the best one so far."""
    if best is None:
        return True
    return score.value < best if score.direction == "lower" else score.value > best


def deciding_score(scores: Sequence[Score], validation: Validation, where: str) -> Score:
    """Return the score that selects checkpoints.

    Raises:
        InputError: no evaluator of the recipe gives it.
    """
    for score in scores:
        if score.name == validation.metric:
            return score
    raise InputError(
        f"{where}.validation.metric: no evaluator that it runs gives a score {validation.metric!r}; "
        f"they give {', '.join(score.name for score in scores)}"
    )
