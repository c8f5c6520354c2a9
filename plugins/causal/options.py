"""Options of the autoregressive baselines, and of the perplexity under one."""

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


class PerplexityOptions(BaseModel):
    """Generative perplexity.

    Attributes:
        model: the folder of a causal language model, in the form of transformers' ``save_pretrained``.
        protocol: ``plain`` scores each text after a begin token, and its end too;
            ``langflow`` and ``elf`` are those of the official evaluations.
        marker: for ``langflow``: what stands for line breaks and at both ends of a text; empty for none.
        tokenizer: where the tokenizer lies whose tokens the entropy is of, the generating model's in
            ``langflow``; the language model's own by default.
        ngram: n of the n-grams whose tokens are repetition where the text has had them before.
        max_tokens: texts are cut here, and at the model's last position.
        batch: texts at a time; ``elf`` pads a batch to its longest text, and that changes its number.
        device: CUDA where there is one, by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    protocol: Literal["plain", "langflow", "elf"] = "plain"
    marker: str = "[CLS]"
    tokenizer: str | None = None
    ngram: int = Field(default=4, ge=1, le=1_000)
    max_tokens: int = Field(default=1024, ge=2, le=65_536)
    batch: int = Field(default=8, ge=1, le=1_000_000)
    device: str | None = None
