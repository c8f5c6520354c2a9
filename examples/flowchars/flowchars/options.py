"""What a recipe can say about flowchars, checked before torch is imported."""

from pydantic import BaseModel, ConfigDict, Field


class FlowCharsOptions(BaseModel):
    """A flowchars teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: int = Field(3, ge=1, description="the most words of a line")
    letters: int = Field(8, ge=1, description="the most letters of a word")
    code: int = Field(8, ge=1, description="numbers a letter is coded by")
    norm: float = Field(3.0, gt=0, description="length of a code")
    width: int = Field(192, ge=1, description="width of the network")
    layers: int = Field(6, ge=1, description="mixer layers")
