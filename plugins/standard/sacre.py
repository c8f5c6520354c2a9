"""Corpus BLEU, chrF and TER by sacreBLEU (Post, 2018), in its own units: percent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample

from .options import ChrfOptions, SacreBleuOptions, TerOptions
from .scoring import CorpusEvaluator, checked, signature
from .texts import OUTPUT, REFERENCE, blind_to, clean_text


def statistics(metric: Metric, outputs: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Return what sacreBLEU adds up over a corpus: one row of counts a pair, [N, S]."""
    return np.array(metric._extract_corpus_statistics(outputs, [references]), dtype=np.float64)


def score(metric: Metric, totals: NDArray[np.float64]) -> float:
    """Return what sacreBLEU makes of counts that were added up, [S]."""
    return float(metric._compute_score_from_stats(totals.tolist()).score)


def own_signature(metric: Metric) -> str:
    """Return sacreBLEU's signature of a metric with one reference."""
    # sacreBLEU counts the references when it reads them; a sample always has one.
    metric.num_refs = 1
    return str(metric.get_signature())


def corpus_bleu(options: SacreBleuOptions) -> BLEU:
    """Return sacreBLEU's BLEU.

    Raises:
        InputError: its tokeniser needs a package or a download that is not there.
    """
    try:
        return BLEU(tokenize=options.tokenize, lowercase=options.lowercase)
    except (ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"tokenize = {options.tokenize!r}: sacreBLEU cannot use it here ({reason})"
        ) from None


class SacreEvaluator(CorpusEvaluator):
    """A corpus metric of sacreBLEU's: first candidates against references."""

    metric: Metric

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return sacreBLEU's counts of each sample, [N, S]."""
        ready = checked(samples, self.name)
        return statistics(self.metric, [s.candidates[0] for s in ready], [s.reference for s in ready])

    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        """Return the score of a corpus whose counts add up to ``totals``, [S]."""
        return score(self.metric, totals)

    def signature(self) -> str:
        """Return our fields around sacreBLEU's own."""
        return signature(self.name, {}, embedded=own_signature(self.metric))


class SacreBleuEvaluator(SacreEvaluator):
    """Corpus BLEU-4 (Papineni et al., 2002), 0 to 100: counts of all sentences first, then one ratio."""

    name = "sacrebleu"

    def __init__(self, options: SacreBleuOptions) -> None:
        self.tokenize = options.tokenize
        self.metric = corpus_bleu(options)

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.tokenize)


class ChrfEvaluator(SacreEvaluator):
    """Corpus chrF2 of character 6-grams (Popović, 2015), 0 to 100; chrF++ with word 2-grams (2017)."""

    name = "chrf"

    def __init__(self, options: ChrfOptions) -> None:
        self.metric = CHRF(word_order=options.word_order, lowercase=options.lowercase)

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return the sentence chrF of each pair, [N]: the score of a corpus of that pair alone."""
        ours = {text: clean_text(text, OUTPUT) for text in {*outputs}}
        theirs = {text: clean_text(text, REFERENCE) for text in {*references}}
        pairs = zip(outputs, references, strict=True)
        return [self.metric.sentence_score(ours[a], [theirs[b]]).score for a, b in pairs]


class TerEvaluator(SacreEvaluator):
    """Translation edit rate (Snover et al., 2006): edits and shifts in percent of the references' words.

    It exceeds 100 where outputs are far longer than their references.
    """

    name = "ter"
    direction = "lower"

    def __init__(self, options: TerOptions) -> None:
        self.metric = TER(
            normalized=options.normalized, no_punct=options.no_punct, case_sensitive=options.case_sensitive
        )

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser, which splits at white space, does not see."""
        return blind_to(texts, "none")
