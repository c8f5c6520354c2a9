"""Which of many scores are drawn, and in which order: a page has room for a few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "neither"]

#: Signs of degeneration that every validation logs; they have a figure of their own.
SIGNS = ("empty", "repetitive", "copied", "mean_length")
ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
#: Panels of a figure, at most.
PANELS = 6


@dataclass(frozen=True, slots=True)
class Measure:
    """What a score's number means: which way is better, and what it is about (`dlmone.core.Score`)."""

    direction: Direction = "higher"
    about: Literal["quality", "diversity", "health"] = "quality"


#: Scores by name, in the order of the recipe's metrics.
Measures = Mapping[str, Measure]


def ordered(measures: Measures) -> list[str]:
    """Return names in the order of a table: signs of health come last."""
    return sorted(measures, key=lambda name: measures[name].about == "health")


def drawn(measures: Measures) -> list[str]:
    """Return the scores that figures show: those with a direction that are no signs of health."""
    shown = (name for name, one in measures.items() if one.direction != "neither" and one.about != "health")
    return [*shown][:PANELS]


def quality(measures: Measures) -> str | None:
    """Return the score that stands for how good one output is: the first such one."""
    return next(iter(_about("quality", measures)), None)


def diversity(measures: Measures) -> str | None:
    """Return the score that stands for how different several outputs are: the first that rises with it."""
    found = _about("diversity", measures)
    return next(iter(sorted(found, key=lambda name: measures[name].direction != "higher")), None)


def _about(what: str, measures: Measures) -> list[str]:
    return [name for name, one in measures.items() if one.about == what and one.direction != "neither"]


def heading(name: str, measure: Measure) -> str:
    """Return a score's name with an arrow that says which way is better."""
    return name + ARROWS[measure.direction]


def number(value: float) -> str:
    """Write a score."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
