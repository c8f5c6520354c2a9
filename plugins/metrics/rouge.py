"""DiffuSeq's ROUGE-L: torchmetrics' default ``rougeL_fmeasure``, which ``rouge-score`` computes alike."""

from collections.abc import Sequence

from rouge_score.rouge_scorer import RougeScorer

from dlmone.core.evaluator import Sample, Score

from .scoring import PlainEvaluator, checked, mean_score

_SCORER = RougeScorer(["rougeL"], use_stemmer=False)


def rouge_l(output: str, reference: str) -> float:
    """Return the F1 of the longest common subsequence, 0 where a side has no token.

    Tokens are the runs of ``[a-z0-9]`` after lower-casing, without stemming: punctuation is no token, and
    an apostrophe splits a word.
    """
    return float(_SCORER.score(reference, output)["rougeL"].fmeasure)


class RougeLEvaluator(PlainEvaluator):
    """Mean sentence ROUGE-L F1."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        values = [rouge_l(s.candidates[0], s.reference) for s in checked(samples, "rouge_l")]
        score = mean_score(
            "rouge_l", values, "higher", tok="a-z0-9", case="lower", stem="no", libraries=["rouge-score"]
        )
        return [score]
