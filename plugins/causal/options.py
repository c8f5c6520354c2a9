"""Options of the autoregressive baselines."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CausalOptions(BaseModel):
    """Lengths and decoding.

    Attributes:
        max_source: maximum tokens of a condition, including its separator.
        max_tokens: maximum generated tokens; 128 in the paper's Table 7.
        separator: text after each condition; generation starts after it.
        sample: sample each token from the model's distribution instead of taking the most likely one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_source: int = Field(default=128, ge=1, le=65_536)
    max_tokens: int = Field(default=128, ge=1, le=65_536)
    separator: str = Field(default="\n", min_length=1)
    sample: bool = False


class LocalOptions(CausalOptions):
    """A model with its tokenizer.

    Attributes:
        path: the folder, in the form of transformers' ``save_pretrained``.
    """

    path: str


class GPT2Options(CausalOptions):
    """GPT-2's architecture.

    Attributes:
        size: as published (Radford et al. 2019): base has 124 million parameters, large 774 million.
    """

    size: Literal["base", "large"] = "base"
