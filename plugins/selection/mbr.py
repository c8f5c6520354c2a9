"""Minimum Bayes risk: of several candidates, the one closest to all the others.

With BLEU as utility and all candidates this is DiffuSeq's MBR, ties and rounding included; for every smaller
number of candidates the selection uses the same matrix (the paper's Figure 2).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import PairMetric, Sample
from dlmone.core.text.selection import Selector

from .options import MbrOptions


class MbrSelector(Selector):
    """Selects argmax_i Σ_{j≠i} u(candidate i, candidate j as its reference), the first on ties."""

    utility: str

    def __init__(self, options: MbrOptions) -> None:
        self.utility = options.utility

    def select(self, samples: Sequence[Sample], metric: PairMetric | None) -> NDArray[np.intp]:
        """Return the selected candidates [N, K] among the first k, k = 1..K.

        Raises:
            InputError: the samples have different numbers of candidates, or none.
        """
        if metric is None:
            raise InputError("mbr compares candidates by a metric, but was given none")
        return picks(utilities([sample.candidates for sample in samples], metric))


def utilities(candidates: Sequence[Sequence[str]], metric: PairMetric) -> NDArray[np.float64]:
    """Return u_NKK: u[n, i, j] is the utility of candidate i against j as its reference, 0 where i = j.

    Raises:
        InputError: there are different numbers of candidates, or none.
    """
    counts = {len(texts) for texts in candidates}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"mbr needs one number of candidates for all samples, from 1; got {sorted(counts)}")
    size = counts.pop()
    # Candidates repeat each other, more so the more certain a model is: each pair of texts is scored once.
    texts = list(dict.fromkeys(chain.from_iterable(candidates)))
    numbers = {text: number for number, text in enumerate(texts)}
    number_NK = np.array([[numbers[text] for text in row] for row in candidates])
    i, j = np.nonzero(~np.eye(size, dtype=bool))
    codes_D, rows_P = np.unique(number_NK[:, i] * len(texts) + number_NK[:, j], return_inverse=True)
    u_NKK = np.zeros((len(candidates), size, size))
    if len(codes_D):
        outputs, references = ([texts[n] for n in side.tolist()] for side in np.divmod(codes_D, len(texts)))
        values = np.asarray(metric.score_pairs(outputs, references), dtype=np.float64)
        u_NKK[:, i, j] = values[rows_P].reshape(len(candidates), -1)
    return u_NKK


def picks(u_NKK: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return picks_NK: the candidate of most utility among the first k, the first on ties.

    The rows are summed again for each k, in the order of DiffuSeq's script, and not cumulatively: between
    candidates of equal utility, rounding decides.
    """
    sizes = range(1, u_NKK.shape[-1] + 1)
    return np.stack([u_NKK[:, :k, :k].sum(axis=-1).argmax(axis=-1) for k in sizes], axis=-1)
