"""Repetition between outputs and within each: read all of it beside the same numbers of held-out text."""

from collections import Counter
from collections.abc import Sequence

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.counts import entropy, ngrams

from .options import RepetitionOptions
from .scoring import first_words, mean_score


class RepetitionEvaluator(Evaluator):
    """Score the first candidate of each sample.

    - ``unique_rate``: distinct outputs / outputs. An output that occurs m times has the value 1/m, so that it
      is a mean. It falls with the number of outputs: compare equal numbers.
    - ``repeated_n``: the share of an output's n-grams that it has had before (Welleck et al. 2020), a mean
      over outputs; 0 where it has none.
    - ``word_entropy``: of the frequencies of an output's words, nats, a mean over outputs. It grows with the
      length.
    """

    def __init__(self, options: RepetitionOptions) -> None:
        self.orders = tuple(dict.fromkeys(options.orders))

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the samples.

        Raises:
            InputError: there are none, or one has no candidate.
        """
        texts = first_words(samples, "repetition")
        times = Counter(map(tuple, texts))
        unique = [1 / times[tuple(words)] for words in texts]
        scores = [mean_score("unique_rate", unique, "higher", "diversity", outputs=len(texts))]
        for n in self.orders:
            shares = [repeated_share(ngrams(words, n)) for words in texts]
            scores.append(mean_score(f"repeated_{n}", shares, "lower", "health", n=n))
        entropies = [entropy(words) for words in texts]
        return [*scores, mean_score("word_entropy", entropies, "neither", "diversity", unit="nats")]


def repeated_share(grams: Sequence[tuple[str, ...]]) -> float:
    """Return the share of n-grams that have occurred before."""
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
