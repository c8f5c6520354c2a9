"""Which of many scores are drawn, and in which order: a page has room for a few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Direction = Literal["higher", "lower", "neither"]

#: Known scores in the order in which a reader wants them; others follow as they come.
ORDER = ("fidelity", "coverage", "bleu", "rouge_l", "bertscore", "dist_1", "self_bleu", "div_4")
#: How good one output is, and how different several are: the first of each that is there stands for it.
QUALITY = ("fidelity", "bleu", "sacrebleu", "rouge_l", "rougeL", "bertscore", "chrf", "meteor")
DIVERSITY = ("coverage", "div_4", "self_bleu", "symmetric_self_bleu")
#: Signs of health rather than of quality; they have a figure of their own.
HEALTH = ("empty", "repetitive", "copied", "mean_length")
HEALTH_SCORES = ("empty_rate", "repetition_rate", "copy_rate", "avg_len", "mean_words")

ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
#: Panels of a figure, at most.
PANELS = 6


def ordered(names: Iterable[str]) -> list[str]:
    """Return names in the order of a table: what is known first, signs of health last."""
    found = list(dict.fromkeys(names))
    known = [name for name in ORDER if name in found]
    health = [name for name in found if name in HEALTH_SCORES or name in HEALTH]
    return [*known, *(name for name in found if name not in known and name not in health), *health]


def drawn(directions: Mapping[str, Direction]) -> list[str]:
    """Return the scores that figures show: those with a direction that are no signs of health."""
    judged = [name for name, direction in directions.items() if direction != "neither"]
    return [name for name in ordered(judged) if name not in HEALTH_SCORES][:PANELS]


def quality(directions: Mapping[str, Direction]) -> str | None:
    """Return the score that stands for how good one output is."""
    known = [name for name in QUALITY if name in directions]
    others = [n for n in drawn(directions) if directions[n] == "higher" and n not in DIVERSITY]
    return next(iter([*known, *others]), None)


def diversity(directions: Mapping[str, Direction]) -> str | None:
    """Return the score that stands for how different several outputs are."""
    return next((name for name in DIVERSITY if name in directions), None)


def heading(name: str, directions: Mapping[str, Direction]) -> str:
    """Return a score's name with an arrow that says which way is better."""
    return name + ARROWS[directions.get(name, "neither")]


def number(value: float) -> str:
    """Write a score."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
