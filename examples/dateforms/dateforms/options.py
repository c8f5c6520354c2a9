"""Options of the dateforms teacher, validated without importing torch."""

from pydantic import BaseModel, ConfigDict, Field


class DateFormsOptions(BaseModel):
    """Sizes of a dateforms teacher, and how it is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: int = Field(16, ge=1, description="width of a token's state")
    width: int = Field(64, ge=2, multiple_of=2, description="width of encoder and decoder")
    heads: int = Field(4, ge=1, description="attention heads")
    layers: int = Field(2, ge=1, description="layers of the decoder; the encoder has one")
    self_conditioning: float = Field(0.5, ge=0, le=1, description="share of samples that read an estimate")
    no_condition: float = Field(0.1, ge=0, le=1, description="share of samples trained without a source")
