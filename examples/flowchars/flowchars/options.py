"""What a recipe can say about flowchars, checked before torch is imported."""

from pydantic import BaseModel, ConfigDict, Field


class FlowCharsOptions(BaseModel):
    """A flowchars teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patches: int = Field(12, ge=1, description="positions of the state")
    patch: int = Field(2, ge=1, description="neighbouring characters that share a position")
    code: int = Field(32, ge=1, description="numbers a character is coded by")
    norm: float = Field(4.0, gt=0, description="length of a character's code")
    width: int = Field(192, ge=1, description="width of the network")
    layers: int = Field(6, ge=1, description="mixer layers")
