"""The options of the built-in data sources: light, so that a recipe is validated without pyarrow or torch."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt


class JsonlOptions(BaseModel):
    """A folder, and how many of the first rows of each of its files to read (all, unless said)."""

    model_config = ConfigDict(extra="forbid")

    path: Path
    train_limit: PositiveInt | None = None
    valid_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None


class HubOptions(BaseModel):
    """A data set by name, and a revision of its repository (None: the one pinned with its splits)."""

    model_config = ConfigDict(extra="forbid")

    dataset: Literal["qqp"] = "qqp"
    revision: str | None = None
