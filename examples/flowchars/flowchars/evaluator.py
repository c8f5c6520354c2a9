"""What is right about a set of lines written without a condition, and whether it is one line many times."""

from collections.abc import Sequence

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Evaluator, Sample, Score

from .corpus import WORDS, is_line


class WeatherScores(Evaluator):
    """Scores the first candidate of each sample.

    - ``valid_words``: the share of its words that the corpus knows; a text without words scores 0.
    - ``valid_lines``: whether it is a line the corpus could hold.
    - ``distinct``: distinct texts among all, low where the modes collapse.
    - ``distinct_valid``: distinct valid lines among all texts. Neither nonsense (always distinct) nor one
      good line over and over (always valid) does well, so this is the score to select checkpoints by.

    The last two fall as samples are added, even for a perfect model, which draws a line twice by chance;
    their signatures say how many samples there were.
    """

    def __init__(self, options: object) -> None:
        pass

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if not samples:
            raise InputError("weather: there are no samples to score")
        texts = [" ".join(sample.candidates[0].split()) for sample in samples]
        valid = [text for text in texts if is_line(text)]
        return [
            _mean("valid_words", [_known(text) for text in texts]),
            _mean("valid_lines", [float(is_line(text)) for text in texts]),
            _share("distinct", len(set(texts)), len(texts)),
            _share("distinct_valid", len(set(valid)), len(texts)),
        ]


def _known(text: str) -> float:
    words = text.split()
    return sum(word in WORDS for word in words) / max(len(words), 1)


def _mean(name: str, values: list[float]) -> Score:
    signature = f"metric:{name}|corpus:weather|tok:whitespace"
    return Score(name, sum(values) / len(values), signature, "higher", tuple(values))


def _share(name: str, found: int, samples: int) -> Score:
    signature = f"metric:{name}|corpus:weather|samples:{samples}"
    return Score(name, found / samples, signature, "higher")
