"""The options of the `questions` plugin: light, so that a recipe is validated without grammar or torch."""

from pydantic import BaseModel, ConfigDict, Field


class SourceOptions(BaseModel):
    """How many pairs to draw from the grammar, and from which seed.

    The splits are functions of the seed alone: asking for more pairs of one split extends it and changes
    nothing in the others.
    """

    model_config = ConfigDict(extra="forbid")

    # The first pairs of train hold every form and filler once; there are fewer than 500 of these.
    train: int = Field(default=20_000, ge=500, description="training pairs")
    valid: int = Field(default=200, ge=1, description="validation pairs")
    test: int = Field(default=500, ge=1, description="test pairs")
    seed: int = Field(default=0, description="draws the splits and the pairs")


class EvaluatorOptions(BaseModel):
    """How many candidates `coverage` reads."""

    model_config = ConfigDict(extra="forbid")

    candidates: int = Field(default=8, ge=1, description="candidates a sample that coverage reads")
