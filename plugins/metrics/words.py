"""Compute DiffuSeq's metrics of single outputs: Dist-1 and average length."""

from collections.abc import Sequence

from dlmone.core.text.evaluator import Sample, Score

from .scoring import PlainEvaluator, checked, mean_score


def dist_1(output: str) -> float:
    """Return the share of distinct tokens, split at white space; 0 where there are none."""
    words = output.split()
    return len(set(words)) / len(words) if words else 0.0


class Dist1Evaluator(PlainEvaluator):
    """Mean over outputs of Dist-1 within the output: low where an output repeats itself."""

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample."""
        values = [dist_1(s.candidates[0]) for s in checked(samples, "dist_1")]
        return [mean_score("dist_1", values, "higher", tok="whitespace")]


class AvgLenEvaluator(PlainEvaluator):
    """DiffuSeq's average length: parts of ``output.split(" ")``, the empty ones included.

    The spaces beside ``[CLS]`` and ``[SEP]`` thus count as two more words. Outputs that came without
    markers have no such spaces, so the signature says which kind was counted; ``health`` has the plain
    mean of words.
    """

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample."""
        outputs = [s.candidates[0] for s in checked(samples, "avg_len")]
        padded = {output != output.strip() for output in outputs}
        outer = "mixed" if len(padded) == 2 else "counted" if padded.pop() else "none"
        values = [len(output.split(" ")) for output in outputs]
        return [mean_score("avg_len", values, "neither", measures="health", tok="space", outer_spaces=outer)]
