"""Score samples by the grammar, which decides exactly whether an output is a paraphrase."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Evaluator, Sample, Score

from .grammar import VERSION, normalise, paraphrases
from .options import EvaluatorOptions


class QuestionsEvaluator(Evaluator):
    """Score samples whose sources are questions of the grammar.

    - ``fidelity``: the share of the first ``candidates`` candidates (8 by default, fewer where a sample has
      fewer) that are valid paraphrases of their source, the source itself not being one.
    - ``coverage``: the mean over sources of the share of possible paraphrases that appear among the first
      ``candidates`` candidates (at most ``candidates`` of them count as possible). A model that always
      gives the same correct answer has high fidelity and low coverage. Coverage is omitted if a sample has
      fewer candidates.
    """

    def __init__(self, options: EvaluatorOptions) -> None:
        self.draws = options.candidates

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if not samples:
            raise InputError("questions: there are no samples to score.")
        answers = [_possible_answers(sample) for sample in samples]
        n = min(self.draws, *(len(sample.candidates) for sample in samples))
        drawn = [[normalise(candidate) for candidate in sample.candidates[:n]] for sample in samples]
        pairs = list(zip(drawn, answers, strict=True))
        rates = [sum(text in right for text in texts) / n for texts, right in pairs]
        scores = [_mean("fidelity", "quality", n, rates)]
        if n == self.draws:
            shares = [len(right.intersection(texts)) / min(len(right), n) for texts, right in pairs]
            scores.append(_mean("coverage", "diversity", n, shares))
        return scores


def _possible_answers(sample: Sample) -> set[str]:
    if not sample.candidates:
        raise InputError(f"questions: sample {sample.id!r} has no candidates.")
    answers = paraphrases(sample.source)
    if not answers:
        raise InputError(
            f"questions: the source of sample {sample.id!r} is no question of the grammar: {sample.source!r}."
        )
    return answers


def _mean(
    name: str, measures: Literal["quality", "diversity"], candidates: int, values: Sequence[float]
) -> Score:
    signature = f"metric:{name}|grammar:{VERSION}|candidates:{candidates}|dlmone:{version('dlmone')}"
    return Score(name, sum(values) / len(values), signature, "higher", tuple(map(float, values)), measures)
