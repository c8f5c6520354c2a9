"""Minimum Bayes risk: of several candidates, the one that the others agree with most, by sentence BLEU."""

from collections.abc import Sequence

from dlmone.core.errors import InputError

from .bleu import sentence_bleu
from .strings import clean_output


def pairwise_bleu(candidates: Sequence[str]) -> list[list[float]]:
    """Return ``matrix[i][j]``, the BLEU of candidate i against j as its reference; the diagonal is 0."""
    texts = [clean_output(candidate) for candidate in candidates]
    return [
        [0.0 if i == j else sentence_bleu(output, reference) for j, reference in enumerate(texts)]
        for i, output in enumerate(texts)
    ]


def choose(matrix: Sequence[Sequence[float]]) -> int:
    """Return the index of the row with the largest sum off the diagonal, the first on ties.

    Raises:
        InputError: the matrix is empty.
    """
    if len(matrix) == 0:
        raise InputError("There is no candidate to choose from.")
    gains = [sum(value for j, value in enumerate(row) if j != i) for i, row in enumerate(matrix)]
    return gains.index(max(gains))
