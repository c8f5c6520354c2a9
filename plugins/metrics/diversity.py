"""DiffuSeq's diversity of the candidates for one source: self-BLEU and Div-4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlmone.core.text.evaluator import Sample, Score

from .bleu import pair_bleus
from .ngrams import distinct
from .options import DiversityOptions
from .scoring import SpacedEvaluator, checked, mean_score
from .tokens import encode_groups, kernel_device

if TYPE_CHECKING:
    import torch


def diversities(
    groups: Sequence[Sequence[str]], device: torch.device | None = None
) -> tuple[list[float], list[float]]:
    """Return the self-BLEU and the Div-4 of each group; all groups have the same size, two or more.

    Self-BLEU is the mean BLEU over pairs i < j, text i against j as its reference: one direction only. Div-4
    is distinct 4-grams / all 4-grams, pooled over a group; 0 where there are none.
    """
    sequences, pairs_P2 = encode_groups(groups, str.split)
    self_bleus_G = pair_bleus(sequences, pairs_P2, device).reshape(len(groups), -1).mean(axis=1)
    different_NG, all_NG = distinct(sequences.pooled(len(groups[0])), device)
    div_4_G = different_NG[3] / np.maximum(1, all_NG[3])
    return self_bleus_G.tolist(), div_4_G.tolist()


class DiversityEvaluator(SpacedEvaluator):
    """Self-BLEU (lower is more diverse) and Div-4 (higher is), each averaged over samples.

    Only the first ``options.candidates`` candidates are read: both numbers depend on how many there are.
    """

    def __init__(self, options: DiversityOptions) -> None:
        self.candidates, self.device = options.candidates, kernel_device(options.device)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the set of candidates of each sample."""
        k = self.candidates
        groups = [s.candidates[:k] for s in checked(samples, "diversity", k)]
        self_bleus, div_4s = diversities(groups, self.device)
        bleu = {"tok": "whitespace", "smooth": "nltk-method4", "pairs": "i<j"}
        return [
            mean_score("self_bleu", self_bleus, "lower", measures="diversity", candidates=k, **bleu),
            mean_score(
                "div_4",
                div_4s,
                "higher",
                measures="diversity",
                tok="whitespace",
                pooled="yes",
                candidates=k,
            ),
        ]
