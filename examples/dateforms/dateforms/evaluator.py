"""Scores that need no reference: whether an output writes the source's date, and in how many forms."""

from collections.abc import Sequence

from dlmone.core import Evaluator, InputError, Sample, Score

from .forms import FORMS, written


class DateScores(Evaluator):
    """``faithful``: the share of outputs that write the source's date. ``forms``: of the forms that the
    candidates of a source could show, those that they do. A model of one form is faithful, and has few.
    """

    def __init__(self, options: object) -> None:
        pass

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        if not samples or not all(sample.candidates for sample in samples):
            raise InputError("dates: there is nothing to score, or a sample has no candidate")
        faithful, forms = [], []
        for sample in samples:
            right = [text for text in sample.candidates if text in written(sample.source)]
            faithful.append(len(right) / len(sample.candidates))
            forms.append(len(set(right)) / min(len(sample.candidates), len(FORMS)))
        signature = f"corpus:dates|candidates:{max(len(sample.candidates) for sample in samples)}"
        return [_mean("faithful", faithful, signature), _mean("forms", forms, signature)]


def _mean(name: str, values: Sequence[float], signature: str) -> Score:
    mean = sum(values) / len(values)
    return Score(name, mean, f"metric:{name}|{signature}", "higher", tuple(values))
