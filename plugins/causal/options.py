"""What an autoregressive baseline can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CausalOptions(BaseModel):
    """How it reads and writes.

    Attributes:
        max_source: tokens that a condition may have, the separator among them.
        max_tokens: tokens that are written at most; the paper's Table 7 has 128.
        separator: follows each condition; the model writes on from there.
        sample: draw each token from the model's distribution instead of taking the likeliest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_source: int = Field(default=128, ge=1)
    max_tokens: int = Field(default=128, ge=1)
    separator: str = Field(default="\n", min_length=1)
    sample: bool = False


class LocalOptions(CausalOptions):
    """A model with its tokenizer.

    Attributes:
        path: the folder, as transformers' ``save_pretrained`` writes it.
    """

    path: str


class GPT2Options(CausalOptions):
    """GPT-2's shape.

    Attributes:
        size: as published (Radford et al. 2019): base has 124 million parameters, large 774 million.
    """

    size: Literal["base", "large"] = "base"
