"""SARI of a simplification system (Xu et al., 2016) in the two forms that are reported, 0 to 100.

Both compare what an output adds to, keeps of and deletes from its source with what the references do, for
n-grams of 1 to 4 words. `SariEvaluator` is Hugging Face's ``evaluate``: a mean over sentences, precision
alone for deletions, and a share of nothing counts as 1. `CorpusSariEvaluator` is EASSE: counts of the whole
corpus, F1 for deletions, and a share of nothing counts as 0.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.counts import ngrams

from .options import SariOptions
from .scoring import CorpusEvaluator, checked, mean_score, signature
from .texts import blind_to, split_words

_ORDERS = range(1, 5)
_Counts = Counter[tuple[str, ...]]


class Sari(NamedTuple):
    """The three parts of SARI, 0 to 1."""

    add: float
    keep: float
    delete: float

    @property
    def sari(self) -> float:
        """Their mean."""
        return (self.add + self.keep + self.delete) / 3


def sentence_sari(source: Sequence[str], output: Sequence[str], references: Sequence[Sequence[str]]) -> Sari:
    """Return SARI of one sentence, as Hugging Face's ``evaluate`` has it.

    Args:
        source, output: words.
        references: one or more, each a sequence of words.
    """
    parts = [_sentence_parts(*counts) for counts in _counts(source, output, references)]
    return Sari(*(sum(part) / len(parts) for part in zip(*parts, strict=True)))


def _sentence_parts(source: _Counts, output: _Counts, reference: _Counts) -> tuple[float, float, float]:
    added, wanted = output.keys() - source.keys(), reference.keys() - source.keys()
    good = len(added & wanted)
    add = _f1(_share(good, len(added)), _share(good, len(wanted)))

    kept, keepable = source & output, source & reference
    right = kept & reference
    # Precision weighs each n-gram alike, recall each of its occurrences.
    precision = _share(sum(right[gram] / kept[gram] for gram in right), len(kept))
    keep = _f1(precision, _share(right.total(), keepable.total()))

    deleted = source - output
    right = deleted - reference
    return add, keep, _share(sum(right[gram] / deleted[gram] for gram in right), len(deleted))


def sari_counts(
    source: Sequence[str], output: Sequence[str], references: Sequence[Sequence[str]]
) -> list[list[int]]:
    """Return EASSE's counts of one sentence, [12, 3]: n-grams right, of the output, of the references.

    The rows are additions, keepings and deletions of 1-grams, then those of 2-grams, and so on.
    """
    rows = []
    for s, o, r in _counts(source, output, references):
        added, wanted = o.keys() - s.keys(), r.keys() - s.keys()
        rows.append([len(added & wanted), len(added), len(wanted)])
        for ours, theirs in ((s & o, s & r), (s - o, s - r)):
            rows.append([(ours & theirs).total(), ours.total(), theirs.total()])
    return rows


def corpus_sari(counts: NDArray[np.float64]) -> Sari:
    """Return EASSE's SARI of counts that were added up, [12, 3]: mean F1 of each operation."""
    right, ours, theirs = counts.T
    total = ours + theirs
    # 2PR / (P + R) of P = right / ours and R = right / theirs; nothing to do and nothing done is 0.
    f1 = np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)
    return Sari(*f1.reshape(-1, 3).mean(axis=0).tolist())


def _counts(
    source: Sequence[str], output: Sequence[str], references: Sequence[Sequence[str]]
) -> Iterator[tuple[_Counts, _Counts, _Counts]]:
    """Yield the n-grams of source, output and all references; the first two weigh as much as the third."""
    times = len(references)
    for n in _ORDERS:
        reference = Counter(gram for words in references for gram in ngrams(words, n))
        yield Counter(ngrams(source, n) * times), Counter(ngrams(output, n) * times), reference


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _words(sample: Sample, options: SariOptions) -> list[list[str]]:
    """Return the words of source, output and reference."""
    texts = sample.source, sample.candidates[0], sample.reference
    return [split_words(text, options.tokenize, lowercase=options.lowercase) for text in texts]


def _definition(form: str, level: str, delete: str, options: SariOptions) -> dict[str, object]:
    case = "lower" if options.lowercase else "mixed"
    return {"form": form, "level": level, "delete": delete, "tok": options.tokenize, "case": case}


class SariEvaluator(Evaluator):
    """Mean sentence SARI and its parts, as Hugging Face's ``evaluate`` has them.

    Two quirks are kept: an empty text has one word, the empty one, so that an empty output pays for a wrong
    addition; and dropping one of two equal words is never right, even where the reference does the same.
    Else an output that is its reference scores 100.
    """

    def __init__(self, options: SariOptions) -> None:
        self.options = options

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.options.tokenize)

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its source and reference."""
        found = []
        for s in checked(samples, "sari"):
            source, output, reference = (words or [""] for words in _words(s, self.options))
            found.append(sentence_sari(source, output, [reference]))
        columns = {
            "sari": [one.sari for one in found],
            "sari_add": [one.add for one in found],
            "sari_keep": [one.keep for one in found],
            "sari_delete": [one.delete for one in found],
        }
        definition = _definition("evaluate", "sentence", "precision", self.options)
        return [
            mean_score(name, [100 * value for value in values], "higher", definition)
            for name, values in columns.items()
        ]


class CorpusSariEvaluator(CorpusEvaluator):
    """SARI of a corpus, as EASSE has it by default.

    An operation that neither output nor reference makes costs its share: with one reference, even outputs
    that equal theirs can score below 100.
    """

    name = "corpus_sari"

    def __init__(self, options: SariOptions) -> None:
        self.options = options

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return what its tokeniser does not see."""
        return blind_to(texts, self.options.tokenize)

    def corpus_statistics(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Return the counts of additions, keepings and deletions of each sample, [N, 36]."""
        rows = []
        for s in checked(samples, self.name):
            source, output, reference = _words(s, self.options)
            rows.append(sari_counts(source, output, [reference]))
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)

    def from_statistics(self, totals: NDArray[np.float64]) -> float:
        """Return the score of a corpus whose counts add up to ``totals``, [36]."""
        return 100 * corpus_sari(totals.reshape(-1, 3)).sari

    def signature(self) -> str:
        """Return the form and the tokenisation."""
        return signature(self.name, _definition("easse", "corpus", "f1", self.options))
