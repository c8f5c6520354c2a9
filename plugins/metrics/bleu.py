"""DiffuSeq's BLEU: the mean over sentences of nltk's smoothed sentence BLEU."""

from collections.abc import Sequence

from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import sentence_bleu as nltk_sentence_bleu

from dlmone.core.evaluator import Sample, Score

from .scoring import PlainEvaluator, checked, mean_score

_SMOOTHING = SmoothingFunction().method4


def sentence_bleu(output: str, reference: str) -> float:
    """Return BLEU-4 of white-space tokens with smoothing method 4 (Chen and Cherry, 2014).

    An output without a word of the reference, or without any word, scores 0. nltk up to 3.5 has another
    method 4, with which single sentences can score above 1: 3.7 is the least that this package accepts.
    """
    return float(nltk_sentence_bleu([reference.split()], output.split(), smoothing_function=_SMOOTHING))


class BleuEvaluator(PlainEvaluator):
    """Mean sentence BLEU: neither corpus BLEU nor comparable with sacreBLEU's numbers."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        values = [sentence_bleu(s.candidates[0], s.reference) for s in checked(samples, "bleu")]
        return [mean_score("bleu", values, "higher", tok="whitespace", smooth="method4", libraries=["nltk"])]
