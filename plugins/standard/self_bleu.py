"""Self-BLEU with all others as references (Texygen: Zhu et al., 2018), of the candidates for one source."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from statistics import fmean

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.counts import ngrams

from .options import SelfBleuOptions
from .scoring import checked, mean_score
from .texts import blind_to, split_words

#: Matches that an order without any gets: smoothing method 1 of Chen and Cherry (2014), as in Texygen.
_EPSILON = 0.1


def self_bleu(candidates: Sequence[Sequence[str]], order: int = 4) -> float:
    """Return the mean BLEU of each candidate against all the others, 0 to 1.

    It is nltk's ``sentence_bleu(others, candidate, smoothing_function=method1)`` averaged over the
    candidates, so their order does not matter. Each n-gram is counted once a candidate instead of once a
    pair: of its counts, the two largest say what the most among the *others* is.

    Args:
        candidates: two or more sentences, each a sequence of words; a candidate without any scores 0.
        order: the longest n-grams, with equal weights from 1.
    """
    logs = [0.0] * len(candidates)
    for n in range(1, order + 1):
        counts = [Counter(ngrams(words, n)) for words in candidates]
        for i, matches in enumerate(_clipped_matches(counts)):
            if n == 1 and matches == 0:
                logs[i] = float("-inf")
            logs[i] += log((matches or _EPSILON) / max(1, counts[i].total())) / order
    lengths = [len(words) for words in candidates]
    return fmean(
        _brevity(length, lengths[:i] + lengths[i + 1 :]) * exp(logs[i]) for i, length in enumerate(lengths)
    )


def _clipped_matches(counts: Sequence[Counter[tuple[str, ...]]]) -> list[int]:
    """Return how many n-grams of each candidate occur in others, each at most as often as in one of them."""
    largest: Counter[tuple[str, ...]] = Counter()
    second: Counter[tuple[str, ...]] = Counter()
    for grams in counts:
        for gram, count in grams.items():
            if count > largest[gram]:
                largest[gram], second[gram] = count, largest[gram]
            elif count > second[gram]:
                second[gram] = count
    totals = []
    for grams in counts:
        # Who has the most of an n-gram is met by the second most at best.
        most = {gram: (second if grams[gram] == largest[gram] else largest)[gram] for gram in grams}
        totals.append(sum(min(count, most[gram]) for gram, count in grams.items()))
    return totals


def _brevity(length: int, others: Sequence[int]) -> float:
    """Return the brevity penalty against the closest length among the others, the shorter one on ties."""
    if length == 0:
        return 0.0
    closest = min(others, key=lambda other: (abs(other - length), other))
    return min(1.0, exp(1 - closest / length))


class SymmetricSelfBleuEvaluator(Evaluator):
    """Self-BLEU of each source's candidates, averaged over sources: lower is more diverse.

    Texygen takes the whole output of an unconditional model for one set; here a set is what was written for
    one source. Only the first ``options.candidates`` are read: the number rises with how many there are.
    """

    def __init__(self, options: SelfBleuOptions) -> None:
        self.options = options
        self.candidates = options.candidates

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.options.tokenize)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the set of candidates of each sample."""
        k, tokenize, order = self.candidates, self.options.tokenize, self.options.order
        ready = checked(samples, "symmetric_self_bleu", k)
        sets = [[split_words(text, tokenize) for text in s.candidates[:k]] for s in ready]
        values = [self_bleu(words, order) for words in sets]
        definition = {"order": order, "refs": "others", "tok": tokenize, "smooth": "method1"}
        return [mean_score("symmetric_self_bleu", values, "lower", definition, candidates=k)]
