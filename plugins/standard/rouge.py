"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004) by the ``rouge-score`` library, 0 to 1."""

from collections.abc import Sequence

from rouge_score.rouge_scorer import RougeScorer

from dlmone.core.evaluator import Evaluator, Sample, Score

from .options import RougeOptions
from .scoring import checked, mean_score

_SCORES = ("rouge1", "rouge2", "rougeL")


class RougeEvaluator(Evaluator):
    """Mean F1 over sentences of 1-gram, 2-gram and longest-common-subsequence overlap.

    Words are the runs of ``[a-z0-9]`` after lower-casing, stemmed where asked for. A side without a word (or
    without a 2-gram) scores 0.
    """

    def __init__(self, options: RougeOptions) -> None:
        self.use_stemmer = options.use_stemmer
        self._scorer = RougeScorer(list(_SCORES), use_stemmer=options.use_stemmer)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        found = [self._scorer.score(s.reference, s.candidates[0]) for s in checked(samples, "rouge")]
        stem = "porter" if self.use_stemmer else "no"
        definition = {"value": "f1", "tok": "a-z0-9", "case": "lower", "stem": stem}
        return [
            mean_score(
                name, [one[name].fmeasure for one in found], "higher", definition, library="rouge-score"
            )
            for name in _SCORES
        ]
