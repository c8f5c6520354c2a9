"""Options of the flowchars teacher, validated without importing torch."""

from pydantic import BaseModel, ConfigDict, Field


class FlowCharsOptions(BaseModel):
    """Sizes of a flowchars teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: int = Field(3, ge=1, description="the most words of a line")
    letters: int = Field(8, ge=1, description="the most letters of a word")
    code: int = Field(8, ge=1, description="width of a letter's code")
    norm: float = Field(4.0, gt=0, description="norm of a code: the larger, the more noise hides a letter")
    width: int = Field(128, ge=1, description="width of the network")
    layers: int = Field(4, ge=1, description="mixer layers")
