"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004) by the ``rouge-score`` library, 0 to 1."""

import re
from collections.abc import Sequence

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.text.words import beyond_ascii, words_of

from .options import RougeOptions
from .scoring import checked, mean_score
from .texts import OUTPUT, REFERENCE, SOURCE

_UNKNOWN = re.compile(f"([{SOURCE}{REFERENCE}{OUTPUT}])")
_SCORES = ("rouge1", "rouge2", "rougeL")


class _Words(Tokenizer):  # type: ignore[misc]
    """The library's words, or those by Unicode, with unknown tokens among them."""

    def __init__(self, options: RougeOptions) -> None:
        self._default = DefaultTokenizer(options.use_stemmer)
        self._stem = PorterStemmer().stem if options.use_stemmer else str
        self._unicode = options.tokenize == "unicode"

    def tokenize(self, text: str) -> list[str]:
        words: list[str] = []
        for part in _UNKNOWN.split(text):
            if _UNKNOWN.fullmatch(part):
                words.append(part)
            elif self._unicode:
                words += [self._stem(word) if len(word) > 3 else word for word in words_of(part.lower())]
            else:
                words += self._default.tokenize(part)
        return words


class RougeEvaluator(Evaluator):
    """Mean F1 over sentences of 1-gram, 2-gram and longest-common-subsequence overlap.

    Words are the runs of ``[a-z0-9]`` after lower-casing, stemmed where asked for, or words by Unicode. A
    side without a word (or without a 2-gram) scores 0.
    """

    def __init__(self, options: RougeOptions) -> None:
        self.use_stemmer, self.tokenize = options.use_stemmer, options.tokenize
        self._scorer = RougeScorer(list(_SCORES), tokenizer=_Words(options))

    def blind_to(self, texts: Sequence[str]) -> str | None:
        """Return that other letters than a-z are read as spaces, where there are some."""
        reason = beyond_ascii(texts) if self.tokenize == "a-z0-9" else None
        return reason and f"it reads a-z and 0-9 only, and {reason}"

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference."""
        found = [self._scorer.score(s.reference, s.candidates[0]) for s in checked(samples, "rouge")]
        stem = "porter" if self.use_stemmer else "no"
        definition = {"value": "f1", "tok": self.tokenize, "case": "lower", "stem": stem}
        return [
            mean_score(
                name, [one[name].fmeasure for one in found], "higher", definition, library="rouge-score"
            )
            for name in _SCORES
        ]
