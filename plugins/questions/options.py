"""Define the options of the `questions` plugin without importing grammar or torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SourceOptions(BaseModel):
    """How many pairs to sample from the grammar, and with which seed.

    The splits depend on the seed alone. Requesting more pairs of one split extends it and leaves the others
    unchanged.
    """

    model_config = ConfigDict(extra="forbid")

    # Fewer than 500 pairs, the first of train, contain every form and filler.
    train: int = Field(default=20_000, ge=500, le=10_000_000, description="training pairs")
    valid: int = Field(default=200, ge=1, le=1_000_000, description="validation pairs")
    test: int = Field(default=500, ge=1, le=1_000_000, description="test pairs")
    seed: int = Field(default=0, description="draws the splits and the pairs")
    language: Literal["en", "fr", "zh"] = Field(
        default="en", description="English, French (with accents) or Chinese (without spaces)"
    )


class Rows(BaseModel):
    """What a row of text is.

    ``sentences``: one question. ``wrapped``: ``words`` words of running text, one question after another, cut
    where the row is full; as many words hold a whole question at least or the ends of two.
    """

    model_config = ConfigDict(extra="forbid")

    rows: Literal["sentences", "wrapped"] = Field(default="sentences", description="what a row is")
    words: int = Field(
        default=32, ge=12, le=65_536, description="words of a wrapped row, punctuation counted"
    )


class TextOptions(Rows):
    """How many rows of text to take of each split: all of its sentences once, unless a number is given."""

    train: int | None = Field(default=None, ge=1, le=10_000_000, description="training rows")
    valid: int | None = Field(default=None, ge=1, le=1_000_000, description="validation rows")
    test: int | None = Field(default=None, ge=1, le=1_000_000, description="test rows")
    seed: int = Field(default=0, description="draws the splits and the order of sentences")


class EvaluatorOptions(BaseModel):
    """How many candidates `coverage` reads."""

    model_config = ConfigDict(extra="forbid")

    candidates: int = Field(default=8, ge=1, le=10_000, description="candidates a sample that coverage reads")
