"""Compute iBLEU (Sun and Zhou, 2012): similarity to the references minus similarity to the sources."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlmone.core.text.evaluator import Sample

from .options import IBleuOptions
from .sacre import corpus_bleu, own_signature, score, statistics
from .scoring import CorpusEvaluator, checked, signature
from .texts import blind_to


class IBleuEvaluator(CorpusEvaluator):
    """α·BLEU(outputs, references) − (1 − α)·BLEU(outputs, sources), both sacreBLEU's corpus BLEU.

    It lies between −100·(1 − α) and 100·α. A system that copies its sources gets
    α·BLEU(sources, references) − 100·(1 − α).
    """

    name = "ibleu"

    def __init__(self, options: IBleuOptions) -> None:
        self.alpha = options.alpha
        self.tokenize = options.tokenize
        self.metric = corpus_bleu(options)

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.tokenize)

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return BLEU's counts against the reference and then those against the source, [N, 20]."""
        ready = checked(samples, self.name)
        outputs = [s.candidates[0] for s in ready]
        sides = [s.reference for s in ready], [s.source for s in ready]
        return np.hstack([statistics(self.metric, outputs, side) for side in sides])

    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        """Return the score of a corpus whose counts add up to ``totals``, [20]."""
        reference, source = (score(self.metric, part) for part in np.split(totals, 2))
        return self.alpha * reference - (1 - self.alpha) * source

    def signature(self) -> str:
        """Return α and the level of both BLEUs around sacreBLEU's own signature."""
        definition = {"alpha": self.alpha, "level": "corpus"}
        return signature(self.name, definition, embedded=own_signature(self.metric))
