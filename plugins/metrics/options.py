"""Define the evaluators' options, which are validated before any evaluator is imported."""

from pydantic import BaseModel, ConfigDict, Field


class NoOptions(BaseModel):
    """The evaluator takes no options."""

    model_config = ConfigDict(extra="forbid")


class DiversityOptions(BaseModel):
    """DiffuSeq reports diversity over 3 candidates (seeds) a source."""

    model_config = ConfigDict(extra="forbid")

    candidates: int = Field(default=3, ge=2, le=10_000)


class BertScoreOptions(BaseModel):
    """The encoder behind BERTScore.

    ``model`` is a hub name or a local folder. ``num_layers`` (how many layers to keep) may be left out for
    the hub names in bert-score's table. ``device`` defaults to CUDA where there is one.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = "microsoft/deberta-xlarge-mnli"
    num_layers: int | None = Field(default=None, ge=1, le=1_000)
    batch_size: int = Field(default=64, ge=1, le=1_000_000)
    device: str | None = None
