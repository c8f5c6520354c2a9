"""Distinct-n (Li et al., 2016) at three levels: all outputs, one output, and the candidates for one source.

All are distinct n-grams / n-grams of what is pooled at that level (or / words, with ``per = "words"``, as
Li et al. scale theirs), and 0 where there are none. The number falls as more is pooled, so that corpora or
sets of candidates of different sizes do not compare.
"""

from collections.abc import Sequence

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.counts import ngrams

from .options import DistinctOptions, DivNOptions
from .scoring import checked, mean_score, signature
from .texts import blind_to, split_words


def distinct_ratio(sentences: Sequence[Sequence[str]], n: int, per: str = "ngrams") -> float:
    """Return the distinct n-grams of sentences, each a sequence of words, over all n-grams or all words."""
    grams = [gram for words in sentences for gram in ngrams(words, n)]
    total = len(grams) if per == "ngrams" else sum(map(len, sentences))
    return len(set(grams)) / total if total else 0.0


class DistinctEvaluator(Evaluator):
    """``corpus_distinct_n`` or ``output_distinct_n`` of first candidates, by the option ``level``.

    The corpus number is no mean and no function of sums: distinct n-grams of a union do not add up. It has no
    ``per_sample`` and no bootstrap interval; a bootstrap corpus would also repeat samples and so be less
    diverse than any real one. ``output_distinct_n`` is a mean over outputs and sees repetition within one.
    """

    def __init__(self, options: DistinctOptions) -> None:
        self.options = options

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.options.tokenize)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidates, once for each order."""
        tokenize, level, per = self.options.tokenize, self.options.level, self.options.per
        sentences = [split_words(s.candidates[0], tokenize) for s in checked(samples, "distinct")]
        definition = {"level": level, "per": per, "tok": tokenize}
        scores = []
        for n in dict.fromkeys(self.options.orders):
            name = f"{level}_distinct_{n}"
            if level == "corpus":
                value = distinct_ratio(sentences, n, per)
                scores.append(Score(name, value, signature(name, definition), "higher"))
            else:
                values = [distinct_ratio([words], n, per) for words in sentences]
                scores.append(mean_score(name, values, "higher", definition))
        return scores


class DivNEvaluator(Evaluator):
    """``div_n_N``: Distinct-n pooled over the candidates for one source, averaged over sources.

    Only the first ``options.candidates`` candidates are read: the number depends on how many there are.
    """

    def __init__(self, options: DivNOptions) -> None:
        self.options = options
        self.candidates = options.candidates

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.options.tokenize)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the set of candidates of each sample, once for each order."""
        k, tokenize, per = self.candidates, self.options.tokenize, self.options.per
        sets = [
            [split_words(text, tokenize) for text in s.candidates[:k]] for s in checked(samples, "div_n", k)
        ]
        definition = {"per": per, "tok": tokenize}
        scores = []
        for n in dict.fromkeys(self.options.orders):
            values = [distinct_ratio(sentences, n, per) for sentences in sets]
            scores.append(mean_score(f"div_n_{n}", values, "higher", definition, candidates=k))
        return scores
