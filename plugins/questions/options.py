"""Define the options of the `questions` plugin without importing grammar or torch."""

from pydantic import BaseModel, ConfigDict, Field


class SourceOptions(BaseModel):
    """How many pairs to sample from the grammar, and with which seed.

    The splits depend on the seed alone. Requesting more pairs of one split extends it and leaves the others
    unchanged.
    """

    model_config = ConfigDict(extra="forbid")

    # Fewer than 500 pairs, the first of train, contain every form and filler.
    train: int = Field(default=20_000, ge=500, description="training pairs")
    valid: int = Field(default=200, ge=1, description="validation pairs")
    test: int = Field(default=500, ge=1, description="test pairs")
    seed: int = Field(default=0, description="draws the splits and the pairs")


class EvaluatorOptions(BaseModel):
    """How many candidates `coverage` reads."""

    model_config = ConfigDict(extra="forbid")

    candidates: int = Field(default=8, ge=1, description="candidates a sample that coverage reads")
