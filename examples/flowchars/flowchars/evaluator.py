"""Scores of unconditional lines: are they valid, and are they different?"""

from collections.abc import Sequence

from dlmone.core import Evaluator, InputError, Sample, Score

from .corpus import WORDS, is_line


class WeatherScores(Evaluator):
    """Score the first candidate of each sample.

    - ``valid_words``: share of its words that are in the corpus; 0 for a text without words.
    - ``valid_lines``: share of texts that are lines of the corpus's form.
    - ``distinct``: share of distinct texts, low when modes collapse.
    - ``distinct_valid``: number of distinct valid lines by number of texts. Noise (always distinct) and one
      valid line repeated (always valid) both score low, so checkpoints are selected by this score.

    A perfect model repeats a line now and then, the more often the more it samples. So the signature of the
    last two has the number of samples: of 256 perfect samples, 0.97 are distinct on average.
    """

    def __init__(self, options: object) -> None:
        pass

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if not samples or not all(sample.candidates for sample in samples):
            raise InputError("weather: there is nothing to score, or a sample has no candidate")
        texts = [" ".join(sample.candidates[0].split()) for sample in samples]
        valid = [text for text in texts if is_line(text)]
        return [
            _mean("valid_words", [_known(text) for text in texts]),
            _mean("valid_lines", [float(is_line(text)) for text in texts]),
            _share("distinct", texts, samples),
            _share("distinct_valid", valid, samples),
        ]


def _known(text: str) -> float:
    words = text.split()
    return sum(word in WORDS for word in words) / max(len(words), 1)


def _mean(name: str, values: Sequence[float]) -> Score:
    signature = f"metric:{name}|corpus:weather|tok:whitespace"
    return Score(name, sum(values) / len(values), signature, "higher", tuple(values))


def _share(name: str, texts: Sequence[str], samples: Sequence[Sample]) -> Score:
    signature = f"metric:{name}|corpus:weather|tok:whitespace|samples:{len(samples)}"
    return Score(name, len(set(texts)) / len(samples), signature, "higher")
