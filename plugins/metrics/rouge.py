"""DiffuSeq's ROUGE-L: torchmetrics' default ``rougeL_fmeasure``, in batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.words import beyond_ascii, words_of

from .lcs import lcs_lengths
from .options import RougeLOptions
from .scoring import checked, mean_score
from .strings import clean_output
from .tokens import encode_pairs, kernel_device

if TYPE_CHECKING:
    import torch

_TOKEN = re.compile("[a-z0-9]+")


def rouge_tokens(text: str) -> list[str]:
    """Return the runs of ``[a-z0-9]`` after lower-casing, without stemming.

    Punctuation is no token, and an apostrophe splits a word.
    """
    return _TOKEN.findall(text.lower())


def rouge_ls(
    outputs: Sequence[str],
    references: Sequence[str],
    tokens: Callable[[str], Sequence[str]] = rouge_tokens,
    device: torch.device | None = None,
) -> list[float]:
    """Return for each pair the F1 of the longest common subsequence of tokens, 0 where they share none.

    Raises:
        InputError: the numbers of outputs and references differ.
    """
    sequences, pairs_P2 = encode_pairs(outputs, references, tokens)
    lcs_P = lcs_lengths(sequences, pairs_P2, device)
    precision_P, recall_P = lcs_P / np.maximum(sequences.lengths_S[pairs_P2.T], 1)
    f1_P = 2 * precision_P * recall_P / np.where(lcs_P > 0, precision_P + recall_P, 1)
    scores: list[float] = f1_P.tolist()
    return scores


class RougeLEvaluator(Evaluator):
    """Mean sentence ROUGE-L F1."""

    def __init__(self, options: RougeLOptions) -> None:
        self.tokenize, self.device = options.tokenize, kernel_device(options.device)

    def _words(self, text: str) -> list[str]:
        return rouge_tokens(text) if self.tokenize == "a-z0-9" else words_of(text.lower())

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return that other letters than a-z are read as spaces, where there are some."""
        reason = beyond_ascii(texts) if self.tokenize == "a-z0-9" else None
        return reason and f"it reads a-z and 0-9 only, and {reason}"

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        scored = checked(samples, "rouge_l")
        outputs, references = [s.candidates[0] for s in scored], [s.reference for s in scored]
        values = rouge_ls(outputs, references, self._words, self.device)
        return [mean_score("rouge_l", values, "higher", tok=self.tokenize, case="lower", stem="no")]

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return the ROUGE-L of each output against a reference that is another output."""
        words = lambda text: self._words(clean_output(text))  # noqa: E731
        return rouge_ls(outputs, references, words, self.device)
