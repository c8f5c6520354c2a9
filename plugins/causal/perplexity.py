"""Generative perplexity: how likely a causal language model finds generated text, less what repetition adds.

Perplexity alone falls when a text repeats itself, or when many texts are one: a model predicts well what it
has read before. The adjusted value counts what is new: of each text the tokens outside n-grams that it has
had before, and each distinct text once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from math import exp
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from dlmone.core import Evaluator, Sample, Score
from dlmone.core.text.evaluator import require_candidates
from dlmone.plugins.bert.files import load_backend
from dlmone.plugins.text.counts import entropy

from .options import PerplexityOptions
from .scorer import ScoredText, Scorer

PLAIN, ADJUSTED, ENTROPY = "generative_perplexity", "repetition_adjusted_perplexity", "sample_entropy"


class PerplexityEvaluator(Evaluator):
    """Score the first candidate of each sample under a causal language model.

    - ``generative_perplexity``: exp(Σ −ln p / Σ tokens) over the tokens that the protocol counts.
    - ``repetition_adjusted_perplexity``: the same over tokens that are new, each distinct text once.
    - ``sample_entropy``: of the unigrams of a text's tokens, nats, a mean over texts.

    A corpus without a token that counts has the perplexity of a guess, the size of the vocabulary.
    """

    def __init__(self, options: PerplexityOptions) -> None:
        self.options = options
        self._latest: tuple[tuple[str, ...], list[ScoredText]] = ((), [])

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the samples.

        Raises:
            InputError: there are none, one has no candidate, or the model cannot be loaded.
        """
        values = self.from_statistics(self.corpus_statistics(samples).sum(axis=0))
        entropies = self._entropies(samples)
        return [
            Score(PLAIN, values[PLAIN], self._signature(PLAIN), "lower"),
            Score(
                ADJUSTED,
                values[ADJUSTED],
                self._signature(ADJUSTED, ngram=self.options.ngram),
                "lower",
                corrects=PLAIN,
            ),
            Score(
                ENTROPY,
                sum(entropies) / len(entropies),
                self._signature(ENTROPY, tokens=self._name(self.options.tokenizer or self.options.model)),
                "neither",
                tuple(entropies),
                "diversity",
            ),
        ]

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return of each sample −ln p and tokens, and both of what is new in it, [N, 4]."""
        scored = self._scored(samples)
        times = Counter(one.tokens for one in scored)
        rows = []
        for one in scored:
            old = repeated(one.tokens, self.options.ngram)[1:]
            new = [loss for loss, is_old in zip(one.losses, old, strict=True) if not is_old]
            share = 1 / times[one.tokens]
            rows.append([sum(one.losses), len(one.losses), share * sum(new), share * len(new)])
        return np.array(rows, dtype=np.float64)

    def from_statistics(self, totals: NDArray[np.float64]) -> Mapping[str, float]:
        """Return both perplexities of a corpus whose statistics add up to ``totals``, [4]."""
        nll, count, new_nll, new = map(float, totals)
        return {PLAIN: self._perplexity(nll, count), ADJUSTED: self._perplexity(new_nll, new)}

    def _perplexity(self, nll: float, count: float) -> float:
        return exp(nll / count) if count else float(self._scorer.size)

    def _scored(self, samples: Sequence[Sample]) -> list[ScoredText]:
        """Score first candidates; the latest ones are kept, as an interval reads them again."""
        require_candidates(samples, PLAIN)
        texts = tuple(sample.candidates[0] for sample in samples)
        if texts != self._latest[0]:
            self._latest = texts, self._scorer.score(texts)
        return self._latest[1]

    def _entropies(self, samples: Sequence[Sample]) -> list[float]:
        """Return each text's entropy; one without a token gets the others' mean, and so does not count."""
        if self._own is None:
            tokens = [self._scorer.encode(sample.candidates[0]) for sample in samples]
        else:
            framed = [self._scorer.frame(sample.candidates[0]) for sample in samples]
            tokens = [self._own.encode(text, add_special_tokens=False).ids for text in framed]
        found = [entropy(one) for one in tokens if one]
        mean = sum(found) / max(len(found), 1)
        return [entropy(one) if one else mean for one in tokens]

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self.options)

    @cached_property
    def _own(self) -> tokenizers.Tokenizer | None:
        """The tokenizer whose tokens the entropy is of, if it is not the scorer's."""
        name = self.options.tokenizer
        return None if name is None else load_backend(name)[1]

    def _signature(self, metric: str, **definition: object) -> str:
        options, scorer = self.options, self._scorer
        fields: dict[str, object] = {
            "metric": metric,
            **definition,
            "model": self._name(options.model),
            "protocol": options.protocol,
        }
        if scorer.protocol.framed:
            fields["marker"] = options.marker or "none"
        fields |= {"max_tokens": scorer.most, "dtype": str(scorer.network.dtype).removeprefix("torch.")}
        fields |= {"candidates": 1, "transformers": version("transformers"), "dlmone": version("dlmone")}
        return "|".join(f"{key}:{value}" for key, value in fields.items())

    @staticmethod
    def _name(path: str) -> str:
        return Path(path).name.replace("|", "_")


def repeated(tokens: Sequence[int], n: int) -> list[bool]:
    """Tell of each token whether it is part of an n-gram that the text has had before."""
    seen: set[tuple[int, ...]] = set()
    found = [False] * len(tokens)
    for start in range(len(tokens) - n + 1):
        gram = tuple(tokens[start : start + n])
        if gram in seen:
            found[start : start + n] = [True] * n
        seen.add(gram)
    return found
