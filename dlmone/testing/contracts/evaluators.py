"""The Evaluator contract: scores that carry their definition, from no more than was asked for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from dlmone.core import CorpusMetric, Evaluator, InputError, PairMetric, Sample, Score
from dlmone.evaluation.evaluators import score_samples

from ..claims import claimed, require


def check_evaluator(evaluator: Evaluator, samples: Sequence[Sample]) -> None:
    """Check an evaluator against its contract.

    Args:
        evaluator: the one to check.
        samples: two or more that it can score, with at least as many candidates as it needs.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    wanted = evaluator.candidates
    require(isinstance(wanted, int) and wanted >= 1, f"candidates must be a number from 1, not {wanted!r}")
    enough = len(samples) >= 2 and all(len(sample.candidates) >= wanted for sample in samples)
    require(enough, f"check_evaluator takes two or more samples with {wanted} candidate(s) each")

    with claimed():
        scores = score_samples(samples, {"it": evaluator})
    names = [score.name for score in scores]
    require(len(names) > 0, "evaluate() returned no score")
    require(len(set(names)) == len(names), f"two scores have one name: {names}")
    for score in scores:
        known = score.corrects is None or score.corrects in names
        require(known, f"{score.name!r} corrects {score.corrects!r}, which evaluate() does not return")
    for score in scores:
        _check_score(score)
    require(_alike(scores, evaluator.evaluate(samples)), "the same samples gave other scores the second time")

    fewest = [replace(sample, candidates=sample.candidates[:wanted]) for sample in samples]
    more = [replace(sample, candidates=(*sample.candidates, "one more")) for sample in samples]
    defined = {(score.name, score.signature): score for score in scores}
    for score in (*evaluator.evaluate(fewest), *evaluator.evaluate(more)):
        first = defined.get((score.name, score.signature), score)
        same = _alike([score], [first])
        sentence = "changes with the number of candidates, which its signature does not tell"
        require(same, f"the score {score.name!r} {sentence}")
    turned = [_turned(score) for score in evaluator.evaluate(samples[::-1])]
    require(_alike(scores, turned), "the order of the samples changes the scores, or per_sample ignores it")

    if isinstance(evaluator, PairMetric):
        _check_pairs(evaluator, samples)
    if isinstance(evaluator, CorpusMetric):
        _check_statistics(evaluator, samples, scores)

    _require_refusal(evaluator, [], "no samples")
    too_few = replace(samples[0], candidates=samples[0].candidates[: wanted - 1])
    _require_refusal(evaluator, [too_few, *samples[1:]], f"a sample with {wanted - 1} candidates")


def _check_score(score: Score) -> None:
    where = f"the score {score.name!r}"
    require(math.isfinite(score.value), f"{where} must be a finite number, not {score.value}")
    fields = score.signature.split("|")
    named = all(key and colon and value for key, colon, value in (field.partition(":") for field in fields))
    require(named, f"{where}: signature must be key:value fields joined by |, not {score.signature!r}")
    if score.per_sample is not None:
        mean = fmean(score.per_sample)
        require(_close(mean, score.value), f"{where} is {score.value}, but the mean of per_sample is {mean}")


def _check_pairs(metric: PairMetric, samples: Sequence[Sample]) -> None:
    outputs = [sample.candidates[0] for sample in samples]
    references = [sample.reference for sample in samples]
    values = [float(value) for value in metric.score_pairs(outputs, references)]
    finite = len(values) == len(samples) and all(map(math.isfinite, values))
    require(finite, f"score_pairs() must return one finite number a pair, not {values}")
    alone = [
        float(metric.score_pairs([output], [reference])[0])
        for output, reference in zip(outputs, references, strict=True)
    ]
    require(all(map(_close, values, alone)), "score_pairs() gives a pair another value beside other pairs")


def _check_statistics(metric: CorpusMetric, samples: Sequence[Sample], scores: Sequence[Score]) -> None:
    whole = {score.name: score.value for score in scores if score.per_sample is None}
    rows = metric.corpus_statistics(samples)
    shaped = rows.ndim == 2 and len(rows) == len(samples)
    require(shaped, f"corpus_statistics() must have one row a sample, not the shape {rows.shape}")
    found = metric.from_statistics(rows.sum(axis=0))
    if not isinstance(found, Mapping):
        single = "an evaluator whose from_statistics() is one number must give one score without per_sample"
        require(len(whole) == 1, single)
        found = dict.fromkeys(whole, found)
    names = f"from_statistics() must have the scores without per_sample, {[*whole]}, not {[*found]}"
    require(found.keys() == whole.keys(), names)
    for name, value in found.items():
        sentence = f"from_statistics() of the sums is {value}, but the score is {whole[name]}"
        require(_close(value, whole[name]), sentence)


def _alike(first: Sequence[Score], second: Sequence[Score]) -> bool:
    """Tell whether scores are equal but for rounding."""
    if [score.name for score in first] != [score.name for score in second]:
        return False
    pairs = zip((_numbers(score) for score in first), (_numbers(score) for score in second), strict=True)
    return all(len(a) == len(b) and all(map(_close, a, b)) for a, b in pairs)


def _numbers(score: Score) -> list[float]:
    return [score.value, *(score.per_sample or ())]


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)


def _turned(score: Score) -> Score:
    return replace(score, per_sample=score.per_sample and score.per_sample[::-1])


def _require_refusal(evaluator: Evaluator, samples: Sequence[Sample], what: str) -> None:
    try:
        evaluator.evaluate(samples)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(f"{what} must raise InputError, not {type(error).__name__}") from error
    raise AssertionError(f"{what} must raise InputError")
