"""DiffuSeq's BLEU: the mean over sentences of nltk's smoothed sentence BLEU, to the last bit, in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlmone.core.text.evaluator import Sample, Score
from dlmone.plugins.text.words import words_of

from .ngrams import ORDERS, clipped_matches
from .options import BleuOptions
from .scoring import SpacedEvaluator, checked, mean_score
from .strings import clean_output
from .tokens import Sequences, encode_pairs, kernel_device

if TYPE_CHECKING:
    import torch

#: numpy's own logarithm and exponential may differ from the C library's, which nltk calls, in the last bit;
#: one bit decides between candidates whose risk is the same but for rounding.
_log = np.frompyfunc(math.log, 1, 1)
_exp = np.frompyfunc(math.exp, 1, 1)


def smoothed_bleu(lengths_P2: NDArray[Any], matches_PN: NDArray[Any]) -> NDArray[np.float64]:
    """Return BLEU-4 with smoothing method 4 (Chen and Cherry, 2014), as nltk from 3.7 on computes it, [P].

    Of the precisions matches / n-grams, the k-th that is zero gets the numerator ln(c) / (5 · 2^k), c words
    being in the hypothesis. One-word hypotheses are not smoothed: orders without a match are left out. A
    hypothesis without a word of the reference, or without any word, scores 0.

    Args:
        lengths_P2: words in hypothesis and reference.
        matches_PN: clipped matches of n-grams, n = 1..4.
    """
    c_P, r_P = lengths_P2.T
    overlap_P = matches_PN[:, 0] > 0
    c_P, r_P, matches_PN = c_P[overlap_P], r_P[overlap_P], matches_PN[overlap_P]
    smooth_PN = (matches_PN == 0) & (c_P[:, None] > 1)
    zeros_PN = 2.0 ** smooth_PN.cumsum(1) * 5
    logs_P1 = np.asarray(_log(np.maximum(c_P, 2)), float)[:, None]
    ngrams_PN = np.maximum(1, c_P[:, None] - np.arange(ORDERS))
    precisions_PN = np.where(smooth_PN, 1 / (zeros_PN / logs_P1), matches_PN) / ngrams_PN
    terms_PN = 0.25 * np.asarray(_log(np.where(precisions_PN > 0, precisions_PN, 1)), float)
    means_P = np.fromiter(map(math.fsum, terms_PN.tolist()), float)
    brevity_P = np.where(c_P > r_P, 0, 1 - r_P / c_P)
    bleu_P = np.zeros(len(overlap_P))
    bleu_P[overlap_P] = np.asarray(_exp(brevity_P) * _exp(means_P), float)
    return bleu_P


def pair_bleus(
    sequences: Sequences[NDArray[Any]], pairs_P2: NDArray[Any], device: torch.device | None = None
) -> NDArray[np.float64]:
    """Return the BLEU of each pair (hypothesis, reference) of sequences, [P].

    Matches are counted once for (i, j) and (j, i), on ``device`` if there is one.
    """
    lower_P, upper_P = np.sort(pairs_P2, axis=1).T
    codes_D, rows_P = np.unique(lower_P * len(sequences.lengths_S) + upper_P, return_inverse=True)
    different_D2 = np.stack(np.divmod(codes_D, max(1, len(sequences.lengths_S))), axis=1)
    matches_PN = clipped_matches(sequences, different_D2, device)[rows_P]
    return _scores(sequences.lengths_S[pairs_P2], matches_PN)


def _scores(lengths_P2: NDArray[Any], matches_PN: NDArray[Any]) -> NDArray[np.float64]:
    """Return `smoothed_bleu` of each row. Equal rows, which are common, share one call."""
    columns = [*lengths_P2.T, *matches_PN.T]
    if not len(lengths_P2):
        return np.zeros(0)
    radices = [int(column.max()) + 1 for column in columns]
    if math.prod(radices) > np.iinfo(np.int64).max:
        return smoothed_bleu(lengths_P2, matches_PN)
    codes_P = columns[0]
    for column, radix in zip(columns[1:], radices[1:], strict=True):
        codes_P = codes_P * radix + column
    codes_D, rows_P = np.unique(codes_P, return_inverse=True)
    rows_DC = np.stack(np.unravel_index(codes_D, radices), axis=1)
    scores_P: NDArray[np.float64] = smoothed_bleu(rows_DC[:, :2], rows_DC[:, 2:])[rows_P]
    return scores_P


class BleuEvaluator(SpacedEvaluator):
    """Mean sentence BLEU: neither corpus BLEU nor comparable with sacreBLEU's numbers."""

    def __init__(self, options: BleuOptions) -> None:
        self.tokenize, self.device = options.tokenize, kernel_device(options.device)

    def _words(self, text: str) -> list[str]:
        return text.split() if self.tokenize == "whitespace" else words_of(text, signs=True)

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return that the texts have no spaces, where words are split at them."""
        return super().blind_to(texts) if self.tokenize == "whitespace" else None

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        scored = checked(samples, "bleu")
        outputs, references = [s.candidates[0] for s in scored], [s.reference for s in scored]
        values = pair_bleus(*encode_pairs(outputs, references, self._words), self.device).tolist()
        return [mean_score("bleu", values, "higher", tok=self.tokenize, smooth="nltk-method4")]

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return the sentence BLEU of each output against a reference that is another output."""
        pairs = encode_pairs(outputs, references, lambda text: self._words(clean_output(text)))
        scores: list[float] = pair_bleus(*pairs, self.device).tolist()
        return scores
