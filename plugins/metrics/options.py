"""Define the evaluators' options, which are validated before any evaluator is imported."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dlmone.registry.fields.device import DeviceName


class NoOptions(BaseModel):
    """The evaluator takes no options."""

    model_config = ConfigDict(extra="forbid")


class HealthOptions(BaseModel):
    """Words are split at white space."""

    model_config = ConfigDict(extra="forbid")

    tokenize: Literal["whitespace", "unicode"] = Field(
        default="whitespace", description="unicode knows punctuation, and scripts without spaces"
    )


class OverlapOptions(BaseModel):
    """What metrics of overlapping words share."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceName = Field(
        default="cpu",
        description="where overlaps are counted: auto, cpu, cuda or cuda:N, the CPU where that is not there",
    )


class BleuOptions(OverlapOptions):
    """DiffuSeq splits words at white space."""

    tokenize: Literal["whitespace", "unicode"] = Field(
        default="whitespace", description="unicode knows punctuation, and scripts without spaces"
    )


class RougeLOptions(OverlapOptions):
    """DiffuSeq's words are runs of a-z and 0-9."""

    tokenize: Literal["a-z0-9", "unicode"] = Field(
        default="a-z0-9", description="unicode knows letters of all scripts"
    )


class DiversityOptions(OverlapOptions):
    """DiffuSeq reports diversity over 3 candidates (seeds) a source."""

    candidates: int = Field(default=3, ge=2, le=10_000, description="candidates a sample that are compared")


class BertScoreOptions(BaseModel):
    """The encoder behind BERTScore."""

    model_config = ConfigDict(extra="forbid")

    #: A name of the Hugging Face hub, or a local folder.
    model: str = "microsoft/deberta-xlarge-mnli"
    #: How many of its layers are kept; may be left out for the names in bert-score's table.
    num_layers: int | None = Field(default=None, ge=1, le=1_000)
    #: Texts at once.
    batch_size: int = Field(default=64, ge=1, le=1_000_000)
    #: cpu, cuda or cuda:N; auto is a GPU where there is one.
    device: DeviceName = "auto"
