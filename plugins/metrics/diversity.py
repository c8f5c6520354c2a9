"""DiffuSeq's diversity of the candidates for one source: self-BLEU and Div-4."""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from dlmone.core.evaluator import Evaluator, Sample, Score

from .bleu import sentence_bleu
from .options import DiversityOptions
from .scoring import checked, mean_score


def self_bleu(candidates: Sequence[str]) -> float:
    """Return the mean BLEU over pairs i < j, candidate i against j as its reference (one direction only).

    There must be at least two candidates.
    """
    return fmean(sentence_bleu(output, reference) for output, reference in combinations(candidates, 2))


def div_4(candidates: Sequence[str]) -> float:
    """Return distinct 4-grams / all 4-grams, pooled over the candidates; 0 where there are none."""
    token_lists = [candidate.split() for candidate in candidates]
    grams = [tuple(tokens[i : i + 4]) for tokens in token_lists for i in range(len(tokens) - 3)]
    return len(set(grams)) / len(grams) if grams else 0.0


class DiversityEvaluator(Evaluator):
    """Self-BLEU (lower is more diverse) and Div-4 (higher is), each averaged over samples.

    Only the first ``options.candidates`` candidates are read: both numbers depend on how many there are.
    """

    def __init__(self, options: DiversityOptions) -> None:
        self.candidates = options.candidates

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the set of candidates of each sample."""
        k = self.candidates
        sets = [sample.candidates[:k] for sample in checked(samples, "diversity", k)]
        bleus, distinct = [self_bleu(s) for s in sets], [div_4(s) for s in sets]
        return [
            mean_score(
                "self_bleu",
                bleus,
                "lower",
                tok="whitespace",
                smooth="method4",
                pairs="i<j",
                candidates=k,
                libraries=["nltk"],
            ),
            mean_score("div_4", distinct, "higher", tok="whitespace", pooled="yes", candidates=k),
        ]
