"""Options of the regression objective."""

from pydantic import BaseModel, ConfigDict, Field


class RegressionOptions(BaseModel):
    """Regression onto the teacher's samples.

    Attributes:
        steps: the teacher's calls for a target: its samples should be good at that many.
        until: they are spread evenly from the last time down to here; to the clean state if None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=8, ge=1)
    until: float | None = Field(default=None, ge=0)
