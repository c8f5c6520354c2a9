"""Select the scores that figures and tables show, and order them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "neither"]

#: Signs of degeneration that every validation logs; they have a separate figure.
SIGNS = ("empty", "repetitive", "copied", "mean_length", "unknown")
ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
#: Maximum number of panels in a figure.
PANELS = 6


@dataclass(frozen=True, slots=True)
class Measure:
    """How to read a score: which direction is better, and what it measures (`dlmone.core.Score`)."""

    direction: Direction = "higher"
    about: Literal["quality", "diversity", "health"] = "quality"


#: Scores by name, in the order of the recipe's metrics.
Measures = Mapping[str, Measure]


def ordered(measures: Measures) -> list[str]:
    """Return names in table order: signs of degeneration come last."""
    return sorted(measures, key=lambda name: measures[name].about == "health")


def drawn(measures: Measures) -> list[str]:
    """Return the scores that figures show: those with a direction, without signs of degeneration."""
    shown = (name for name, one in measures.items() if one.direction != "neither" and one.about != "health")
    return [*shown][:PANELS]


def quality(measures: Measures) -> str | None:
    """Return the score that represents the quality of single outputs: the first such one."""
    return next(iter(_about("quality", measures)), None)


def diversity(measures: Measures) -> str | None:
    """Return the score that represents the diversity of several outputs: the first that rises with it."""
    found = _about("diversity", measures)
    return next(iter(sorted(found, key=lambda name: measures[name].direction != "higher")), None)


def _about(what: str, measures: Measures) -> list[str]:
    return [name for name, one in measures.items() if one.about == what and one.direction != "neither"]


def heading(name: str, measure: Measure) -> str:
    """Return a score's name with an arrow in the direction that is better."""
    return name + ARROWS[measure.direction]


def number(value: float) -> str:
    """Write a score."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
