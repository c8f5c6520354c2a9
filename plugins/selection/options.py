"""Options of the selectors, checked before numpy is imported."""

from pydantic import BaseModel, ConfigDict, Field


class MbrOptions(BaseModel):
    """The options of `mbr`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    utility: str = Field(
        default="bleu", description="the evaluator by which two candidates are compared, by name"
    )
