"""Options of the regression objective."""

from pydantic import BaseModel, ConfigDict, Field


class RegressionOptions(BaseModel):
    """``steps`` is the number of the teacher's calls for a target: its samples should be good at it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=8, ge=1)
