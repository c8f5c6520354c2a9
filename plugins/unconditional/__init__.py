"""Provide scores of text without a source: how much repeats, how much differs, how far from held-out text."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "repetition",
        f"{__name__}.repetition:RepetitionEvaluator",
        options=f"{__name__}.options:RepetitionOptions",
        help="unique outputs, repeated n-grams and word entropy of outputs",
    )
    register(
        "ngram_distance",
        f"{__name__}.distance:NgramDistanceEvaluator",
        options=f"{__name__}.options:NgramDistanceOptions",
        help="Jensen-Shannon distance between the n-grams of outputs and of held-out text",
    )
