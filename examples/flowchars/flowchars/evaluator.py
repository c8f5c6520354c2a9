"""What is right about lines written without a condition, and whether they are one line many times over."""

from collections.abc import Sequence

from dlmone.core import Evaluator, InputError, Sample, Score

from .corpus import WORDS, is_line


class WeatherScores(Evaluator):
    """Scores the first candidate of each sample.

    - ``valid_words``: the share of its words that the corpus knows; 0 where there are none.
    - ``valid_lines``: whether it is a line that the corpus could hold.
    - ``distinct``: distinct texts among all, low where modes collapse.
    - ``distinct_valid``: distinct valid lines among all texts. Noise (always distinct) and one good line
      over and over (always valid) both fail here, so this is the score to select checkpoints by.

    Even a perfect model draws a line twice now and then, more often the more it draws, so the last two say
    in their signature how many samples there were: of 256 perfect ones, 0.97 differ on average.
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
