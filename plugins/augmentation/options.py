"""Options of the augmenters, checked before torch is imported."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PadOptions(BaseModel):
    """The options of `pad`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    probability: float = Field(default=0.5, ge=0, le=1, description="of an insertion")
    each: Literal["text", "token"] = Field(
        default="text",
        description="text: one [PAD] at a random place with this probability; "
        "token: a [PAD] before each token with this probability",
    )
