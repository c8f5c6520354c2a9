"""The distance between the n-grams of outputs and of held-out text.

Two finite samples of one distribution are never at distance 0, and the fewer they are, the further apart.
Outputs of one half of the examples are therefore compared with references of the other half, and the mean of
both ways is taken: the same number of the references themselves, the baseline ``reference``, is then that of
human text beside as much other human text.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from math import log2

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.counts import ngrams

from .options import NgramDistanceOptions
from .scoring import first_words, mean_score, words_of

Counts = Counter[tuple[str, ...]]


class NgramDistanceEvaluator(Evaluator):
    """``ngram_distance_n``: Jensen-Shannon divergence in bits, 0 to 1, of pooled n-grams.

    The divergence is a sum over n-grams, and each text's part of it is its n-grams' part: these are the
    values a sample, and as the divergence is homogeneous and stationary in its mixture, also its influence on
    the whole (the delta method), which a bootstrap of them needs.
    """

    def __init__(self, options: NgramDistanceOptions) -> None:
        self.orders = tuple(dict.fromkeys(options.orders))

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidates against the references.

        Raises:
            InputError: there are no samples, or one has no candidate.
        """
        outputs = first_words(samples, "ngram_distance")
        references = [words_of(sample.reference) for sample in samples]
        halves = split([sample.id for sample in samples])
        scores = []
        for n in self.orders:
            written, known = (
                [Counter(ngrams(words, n)) for words in texts] for texts in (outputs, references)
            )
            values = [0.0] * len(samples)
            for ours, theirs in (halves, halves[::-1]):
                parts = divergence([written[i] for i in ours], [known[i] for i in theirs])
                for i, part in zip((*ours, *theirs), parts, strict=True):
                    values[i] += len(samples) * part / 2
            scores.append(mean_score(f"ngram_distance_{n}", values, "lower", "quality", n=n, halves="by-id"))
        return scores


def split(ids: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places of two halves, which depend on the set of ids alone; of one id, it twice."""
    order = sorted(range(len(ids)), key=lambda i: blake2b(ids[i].encode(), digest_size=8).digest())
    middle = len(ids) // 2
    return (order[:middle], order[middle:]) if middle else (order, order)


def divergence(ones: Sequence[Counts], others: Sequence[Counts]) -> list[float]:
    """Return each text's part of JSD(p, q) = ½·Σ p·log₂(2p/(p+q)) + ½·Σ q·log₂(2q/(p+q)).

    Args:
        ones: the n-grams of each text of one side, pooled to p.
        others: those of the other side, pooled to q. A side without any n-gram is at distance 1.
    """
    p, q = (shares_of(side) for side in (ones, others))
    parts = []
    for texts, own, beside in ((ones, p, q), (others, q, p)):
        total = sum(text.total() for text in texts)
        for text in texts:
            if not total:
                parts.append(0.5 / len(texts))
                continue
            logs = (
                count * log2(2 * own[gram] / (own[gram] + beside.get(gram, 0.0)))
                for gram, count in text.items()
            )
            parts.append(0.5 * sum(logs) / total)
    return parts


def shares_of(texts: Sequence[Counts]) -> dict[tuple[str, ...], float]:
    """Return the relative frequencies of pooled n-grams."""
    counts = sum(texts, Counter())
    return {gram: count / counts.total() for gram, count in counts.items()}
